"""Reading YAML that people write: whatever it holds, it is read or refused in words."""

import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.errors import StudyError
from common.strict_yaml import read_yaml
from common.study import Study

PIECES = [
    "study",
    "outcome",
    "variables",
    "a",
    "1",
    "~",
    "yes",
    ": ",
    ", ",
    "- ",
    "? ",
    "\n",
    "\n  ",
    "{",
    "}",
    "[",
    "]",
]
PIECES += [
    "&x ",
    "*x",
    "!!set ",
    "!!binary ",
    "!!python/name:os ",
    "'",
    '"',
    "#",
    "|",
    ">",
    "<<",
    ".nan",
    "2024-02-30",
]


@given(
    st.one_of(
        st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=30).map(lambda p: "".join(p).encode())
    )
)
@settings(deadline=None)
@example(b"[" * 1000 + b"]" * 1000)
@example(b"a: &a [*a]\n")
@example(b"---\na: 1\n---\nb: 2\n")
@example(b'study: "\\ud800"\noutcome: {kind: binary, column: m}\npredictors: {clinical: [a]}\n')
@example(b"study: s\noutcome: {kind: binary, column: m}\npredictors: {clinical: !!set {a, b}}\n")
@example(b"study: s\ntitle: !!binary aGk=\noutcome: {kind: binary, column: m}\npredictors: {clinical: [a]}\n")
def test_any_bytes_are_a_study_or_a_study_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_bytes(content)
        with suppress(StudyError):
            assert len(Study.from_file(path).hash) == 64


def test_every_field_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a:\n  b: [1,\n      2]\nc: {d: x}\n", encoding="utf-8")
    content, lines = read_yaml(path)
    assert content == {"a": {"b": [1, 2]}, "c": {"d": "x"}}
    assert {place: lines[place] for place in [("a",), ("a", "b"), ("a", "b", 1), ("c",), ("c", "d")]} == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "b", 1): 3,
        ("c",): 4,
        ("c", "d"): 4,
    }
