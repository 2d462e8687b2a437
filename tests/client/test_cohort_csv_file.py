"""Tables of text from whatever a hospital's program wrote."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.cohort.csv_file import normal_text, read_table
from common.errors import Code, HospitalError

CELL = st.text(
    st.characters(codec="gb18030", exclude_categories=("Cc", "Cs", "Co", "Cn"), exclude_characters="\ufeff"),
    max_size=8,
)


def written(tmp_path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path = tmp_path / "patients.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def refused(path: Path, code: Code, *words: str, encoding: str | None = None) -> str:
    with pytest.raises(HospitalError) as caught:
        read_table(path, encoding)
    text = str(caught.value)
    assert caught.value.code == code, text
    for word in words:
        assert word in text, text
    return text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_usual_encodings_delimiters_and_line_ends_read_alike(
    tmp_path: Path, encoding: str, newline: str, delimiter: str
) -> None:
    lines = ["id,乙肝,年龄", "P1,阳性,61", "P2,阴性,", "", ",,"]
    path = written(tmp_path, newline.join(lines).replace(",", delimiter), encoding)
    table = read_table(path)
    assert table.header == ("id", "乙肝", "年龄")
    assert table.rows == [["P1", "阳性", "61"], ["P2", "阴性", ""]]
    assert table.lines == [2, 3]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=6),
    delimiter=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_a_csv_writer_wrote_is_read_back(
    tmp_path: Path, cells: list[list[str]], delimiter: str, encoding: str, newline: str, quoting: int
) -> None:
    rows = [["id", "one, two; three", 'four "five"'], *([f"P{i}", *row] for i, row in enumerate(cells))]
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, lineterminator=newline, quoting=quoting).writerows(rows)
    table = read_table(written(tmp_path, stream.getvalue(), encoding))
    assert [list(table.header), *table.rows] == [[normal_text(cell) for cell in row] for row in rows]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=CELL)
def test_gb18030_is_read_back_where_it_is_not_utf8(tmp_path: Path, text: str) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([["id", "乙肝病毒"], ["P1", text]])
    table = read_table(written(tmp_path, stream.getvalue(), "gb18030"))
    assert table.rows == [["P1", normal_text(text)]]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | st.binary(max_size=60).map(lambda tail: b"id,age\n" + tail))
def test_any_bytes_are_read_or_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    try:
        rows, said = read_table(path).rows, ""
    except HospitalError as error:
        rows, said = [], str(error)
    assert not said or "patients.csv" in said
    assert len({len(row) for row in rows}) <= 1


def test_full_width_characters_become_ascii_and_exponents_stay_exponents() -> None:
    assert normal_text("　１２．５ ") == "12.5"
    assert normal_text("ＡＦＰ") == "AFP"
    assert normal_text("\N{MINUS SIGN}3") == "-3"
    assert normal_text("10²") == "10^2"
    assert normal_text("10⁹/L") == "10^9/L"


def test_excels_own_separator_line_is_understood(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "sep=;\r\nid;age\r\nP1;61\r\n"))
    assert table.header == ("id", "age")
    assert table.lines == [3]


def test_a_cell_of_several_lines_keeps_the_line_numbers_right(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, 'id,note\nP1,"two\nlines"\nP2,one\n'))
    assert table.lines == [2, 4]


def test_latin_1_is_read_only_where_site_yaml_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, "id,Größe\nP1,Höhe\xb5\n", "latin-1")
    assert read_table(path, "latin-1").header == ("id", "Größe")
    refused(written(tmp_path, "id,Gr\xf6,e\nP1,1\n", "latin-1"), Code.UNREADABLE_FILE, "encoding: latin-1")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["the file is empty", "first line must name the columns"]),
        (b"\xef\xbb\xbf\r\n", ["the file is empty"]),
        (b"PK\x03\x04....", ["Excel", "CSV UTF-8"]),
        ("id,age\nP1,6".encode("utf-16-le"), ["null bytes", "CSV UTF-8"]),
        (b"patient,age\nP1,61\n", ["line 1", '"patient"', "the name id"]),
        (b"age,id\n61,P1\n", ["line 1", '"age"', "move it to the front"]),
        (b"id|age\nP1|61\n", ['"id|age"', "semicolons"]),
        (b"id,age,age\nP1,61,62\n", ["line 1", "columns 2 and 3", '"age"', "rename or delete"]),
        (b"id,age,,\nP1,61,,\n", ["line 1", "column 3, 4", "name it, or delete it"]),
        (b"id,afp\nP1,1,5\nP2,2\nP3\n", ["line 2: 3 cells", "line 4: 1 cells", "has 2", "decimal commas"]),
        (b'id,note\nP1,"open\nP2,x\n', ["line 2", "quotation mark"]),
        (b"id,age\n,61\n", ["line 2", "no id"]),
    ],
)
def test_a_file_that_cannot_be_a_table_is_refused_with_the_cure(
    tmp_path: Path, content: bytes, words: list[str]
) -> None:
    refused(written(tmp_path, content), Code.UNREADABLE_FILE, "patients.csv", *words)


def test_several_faults_of_a_header_are_said_at_once(tmp_path: Path) -> None:
    text = refused(written(tmp_path, "name,age,age,\n"), Code.UNREADABLE_FILE, '"name"', '"age"', "column 4")
    assert len(text.splitlines()) == 3


def test_duplicate_patients_are_named_with_their_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "id,age\nP1,61\nP2,50\nP1,61\nＰ２,50\nP3,1\n")
    text = refused(path, Code.DUPLICATE_PATIENTS, '"P1" on lines 2, 4', '"P2" on lines 3, 5', "keep one row")
    assert "P3" not in text
