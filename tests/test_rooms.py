"""The rooms of the house stay apart: what the design promises about imports, held by reading them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("common", "client", "server", "harmonization", "deploy")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at the top or within a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms_of(room: str) -> dict[str, set[str]]:
    return {str(p.relative_to(ROOT)): {m.split(".")[0] for m in imports(p)} for p in (ROOT / room).rglob("*.py")}


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("client", {"server", "deploy"}),
        ("server", {"client", "deploy"}),
        ("common", {"client", "server", "deploy", "harmonization"}),
        ("harmonization", {"client", "server", "deploy"}),
    ],
)
def test_a_room_imports_only_what_lies_below_it(room: str, forbidden: set[str]) -> None:
    files = rooms_of(room)
    assert files, f"there is no room {room}"
    wrong = {path: sorted(found & forbidden) for path, found in files.items() if found & forbidden}
    assert not wrong


def test_the_coordinator_cannot_read_patients_or_images() -> None:
    readers = {"pandas", "SimpleITK", "pydicom", "highdicom", "radiomics", "nibabel"}
    wrong = {path: sorted(found & readers) for path, found in rooms_of("server").items() if found & readers}
    assert not wrong


def test_nothing_unpickles_or_runs_what_came_from_outside() -> None:
    forbidden = {"pickle", "cloudpickle", "joblib", "dill", "marshal", "shelve"}
    for room in ROOMS:
        for path, found in rooms_of(room).items():
            assert not found & forbidden, path
        for path in (ROOT / room).rglob("*.py"):
            calls = {
                node.func.id
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert not calls & {"eval", "exec", "compile", "__import__"}, path


def test_every_query_module_is_in_the_complete_list() -> None:
    from client import queries

    declared = {kind.answer.__module__.rpartition(".")[2] for kind in queries.QUERIES.values()}
    files = {p.stem for p in (ROOT / "client" / "queries").glob("*.py")} - {"__init__", "registry", "problems"}
    assert files == declared
    assert all(kind.leaves for kind in queries.QUERIES.values())
