"""Private files: no one else may read them, and no link leads elsewhere."""

import os
import stat
from pathlib import Path

import pytest

from askonce.core.runtime.private_files import make_private, open_private, replace_private

APPENDS = os.O_WRONLY | os.O_APPEND | os.O_CREAT


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("before", [None, 0o600, 0o644, 0o666, 0o777, 0o640])
def test_a_file_is_private_whatever_was_there_before(tmp_path: Path, before: int | None) -> None:
    path = tmp_path / "log"
    if before is not None:
        path.touch()
        path.chmod(before)
    os.close(open_private(path, APPENDS))
    assert mode_of(path) & 0o077 == 0
    assert mode_of(path) & 0o600 == 0o600


@pytest.mark.parametrize("target", ["victim", "missing"])
def test_a_link_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    link = tmp_path / "log"
    link.symlink_to(tmp_path / target)
    with pytest.raises(OSError, match="symbolic link"):
        open_private(link, APPENDS)
    assert not (tmp_path / "missing").exists()


def test_a_device_is_opened_through_a_link_and_stays_as_it_is(tmp_path: Path) -> None:
    link = tmp_path / "log"
    link.symlink_to("/dev/null")
    before = mode_of(Path("/dev/null"))
    os.close(open_private(link, APPENDS))
    assert mode_of(Path("/dev/null")) == before


def test_a_pipe_keeps_its_permissions(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o644)
    os.close(open_private(pipe, os.O_RDWR))
    make_private(pipe)
    assert mode_of(pipe) == 0o644


def test_a_missing_file_is_left_alone(tmp_path: Path) -> None:
    make_private(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_a_whole_file_replaces_a_link_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "state"
    victim.write_bytes(b"precious")
    link.symlink_to(victim)
    replace_private(link, b"new")
    assert (victim.read_bytes(), link.read_bytes()) == (b"precious", b"new")
    assert mode_of(link) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state", "victim"]


def test_a_failed_replacement_leaves_nothing_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        replace_private(folder, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
