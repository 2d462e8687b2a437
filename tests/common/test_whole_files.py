"""A file is there whole or not at all, and nobody else can read it at any moment."""

import os
import stat
from pathlib import Path

import pytest

from common.private_files import write_private, write_public
from common.whole_files import AS_THE_UMASK_SAYS, whole, whole_bytes


def test_until_the_block_ends_the_old_file_stands(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old", encoding="utf-8")
    with whole(path, encoding="utf-8-sig") as file:
        file.write("纪\r\n")
        file.flush()
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_bytes() == b"\xef\xbb\xbf" + "纪\r\n".encode()
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("before", ["", "old"])
def test_what_cannot_be_completed_changes_nothing_and_leaves_nothing_beside(tmp_path: Path, before: str) -> None:
    path = tmp_path / "results.json"
    if before:
        path.write_text(before, encoding="utf-8")
    with pytest.raises(UnicodeEncodeError), whole(path, encoding="ascii") as file:
        file.writelines(["half of ", "ü"])
    with pytest.raises(TypeError), whole_bytes(path) as binary:
        binary.writelines([b"half of ", "text"])  # type: ignore[list-item]
    assert os.listdir(tmp_path) == (["results.json"] if before else [])
    assert not before or path.read_text(encoding="utf-8") == before


def test_a_file_is_its_owners_alone_from_its_first_moment_also_over_one_that_was_not(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"open to all")
    path.chmod(0o644)
    with whole_bytes(path) as file:
        partial = next(p for p in tmp_path.iterdir() if p != path)
        assert stat.S_IMODE(partial.stat().st_mode) == 0o600
        file.write(b"secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write_private(path, b"another")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"another", 0o600)


def test_what_others_may_read_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with whole(tmp_path / "report.html", AS_THE_UMASK_SAYS) as file:
            file.write("page")
        write_public(tmp_path / "ca.crt", b"certificate")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "state.json.partial").write_text("half", encoding="utf-8")
    with whole(tmp_path / "state.json", durable=False) as file:
        file.write("whole")
    assert [(p.name, p.read_text(encoding="utf-8")) for p in tmp_path.iterdir()] == [("state.json", "whole")]


def test_two_processes_that_write_at_the_same_time_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    with whole(path, several_writers=True) as file:
        file.write("ours")
        child = os.fork()
        if not child:
            try:
                with whole(path, several_writers=True) as other:
                    other.write("theirs")
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert path.read_text(encoding="utf-8") == "theirs"
    assert path.read_text(encoding="utf-8") == "ours"
