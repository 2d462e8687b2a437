"""Which encoding a csv file is read in: Chinese and Western bytes are told apart, asked or unasked."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.cohort.text_encoding import read_text
from common.errors import Code, HospitalError

CHINESE = re.findall(
    r"\S+",
    """
    阴性 阳性 未查 甲胎蛋白 性别 男 乙肝表面抗原 肿瘤最大径mm 白蛋白g/L AFP（血清） C肽 B超 Child-Pugh分级
    HBV和HCV T分期 第3期 2型 10⁹/L ＞1210 不详 病历号 γ-谷氨酰转肽酶 癌栓 腺癌 瘘 陈喆 丙肝抗体IgG 术后30天内
    囊肿 ≥5cm α1 陽性 檢查
    """,
)
WESTERN = re.findall(
    r"\S+",
    """
    Gerät Größe Höhe Geschlecht_männlich Übelkeit Ärztin früh Lebergröße ungewöhnlich Maß_mm Rückfall möglich
    sévérité âge diamètre_mm créatinine hépatite rechute_précoce état né_le création forêt français créées aînée
    años tamaño niño_varón diagnóstico año hígado tumor_único sí_o_no cirugía pequeño albúmina señal µg_L °C
    """,
)


def written(folder: Path, text: str, encoding: str) -> Path:
    path = folder / "patients.csv"
    path.write_bytes(text.encode(encoding))
    return path


def refused(path: Path, encoding: str | None, *words: str) -> None:
    with pytest.raises(HospitalError) as caught:
        read_text(path, encoding)
    assert caught.value.code == Code.UNREADABLE_FILE
    for word in ("patients.csv", *words):
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize("word", CHINESE)
def test_a_chinese_header_or_level_alone_is_read_as_gb18030(tmp_path: Path, word: str) -> None:
    text = f"id,x,{word}\nP1,{word},61\nP2,,1\n"
    assert read_text(written(tmp_path, text, "gb18030"), None) == (text, "gb18030")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(st.sampled_from(CHINESE), min_size=1, max_size=6),
    names=st.lists(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), max_size=2), max_size=2),
)
def test_a_chinese_table_with_a_few_rare_names_is_read_as_gb18030(
    tmp_path: Path, words: list[str], names: list[str]
) -> None:
    text = f"id,姓名,甲胎蛋白,{','.join(words)}\n" + "".join(f"P{i},李{n}\n" for i, n in enumerate(names))
    assert read_text(written(tmp_path, text, "gb18030"), None) == (text, "gb18030")


@pytest.mark.parametrize("word", WESTERN)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_western_word_is_never_read_as_chinese(tmp_path: Path, word: str, encoding: str) -> None:
    text = f"id;x;{word}\nP1;{word};61\n"
    path = written(tmp_path, text, encoding)
    refused(path, None, "UTF-8", "encoding: latin-1")
    assert read_text(path, encoding) == (text, encoding)


def test_the_refusal_shows_both_readings_and_both_cures(tmp_path: Path) -> None:
    path = written(tmp_path, "id,scanner\nP1,Aera\nP2,Gerät Größe 3\n", "latin-1")
    refused(
        path,
        None,
        'patients.csv, line 3: the file is not UTF-8, and "Gerät Größe 3"',
        '"Ger鋞 Gr鲞e 3"',
        "CSV UTF-8",
        "encoding: latin-1, or encoding: gb18030",
    )
    assert read_text(path, "gb18030")[0].endswith("P2,Ger鋞 Gr鲞e 3\n")


def test_a_rare_character_does_not_make_a_chinese_table_western(tmp_path: Path) -> None:
    text = "id,姓名,甲胎蛋白\nP1,朱镕基,61\nP2,镕,62\nP3,镕,62\n"
    assert read_text(written(tmp_path, text, "gb18030"), None) == (text, "gb18030")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "gb18030", "big5"])
@pytest.mark.parametrize("saved", ["utf-8", "utf-8-sig"])
def test_an_encoding_that_garbles_utf8_is_pointed_at(tmp_path: Path, encoding: str, saved: str) -> None:
    path = written(tmp_path, "id,甲胎蛋白\nP1,61\n", saved)
    refused(path, encoding, "looks like UTF-8", f"encoding: {encoding}", "take encoding out of site.yaml")
    german = written(tmp_path, "id,Größe\nP1,Höhe\n", saved)
    if encoding in ("latin-1", "cp1252"):
        refused(german, encoding, "looks like UTF-8")


def test_a_named_encoding_is_used_exactly(tmp_path: Path) -> None:
    for text, encoding in (
        ("id,乙肝\n", "gb18030"),
        ("id,未\n", "gb18030"),
        ("id,age\n", "latin-1"),
        ("id,é\n", "utf8"),
    ):
        assert read_text(written(tmp_path, text, encoding), encoding) == (text, encoding)
    path = written(tmp_path, "id,乙肝\n", "gb18030")
    refused(path, "utf-8", "utf-8", "correct encoding in site.yaml")
    with pytest.raises(HospitalError, match="no encoding 'latein'; write") as caught:
        read_text(path, "latein")
    assert caught.value.code == Code.BAD_SITE_FILE
