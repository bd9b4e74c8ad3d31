"""Whole files: what is there after a write, and after a write that failed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from wilor_yolo.whole_files import replacing, write_bytes, write_text


def test_content_in_a_folder_that_was_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x.txt"
    write_text(path, "Händé\r\n\n")
    assert path.read_bytes() == "Händé\r\n\n".encode()
    write_bytes(str(path), b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(path.parent.iterdir()) == [path]


def test_the_old_file_stays_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_text("old")
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, a=np.arange(3))
        assert path.read_text() == "old" and temporary.parent == tmp_path
        # Nobody who looks for arrays meets it, and no other process writes to it.
        assert temporary.suffix == ".part" and str(os.getpid()) in temporary.name
    assert np.load(path)["a"].tolist() == [0, 1, 2]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("bad"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [None, "old"])
def test_a_failure_leaves_what_was_there(
    tmp_path: Path, error: BaseException, before: str | None
) -> None:
    path = tmp_path / "x.txt"
    if before is not None:
        path.write_text(before)
    with pytest.raises(type(error)), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert [p.read_text() for p in tmp_path.iterdir()] == ([] if before is None else [before])


def test_a_rename_that_fails_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "x.txt"
    folder.mkdir()
    with pytest.raises(OSError, match=r"x\.txt"):
        write_text(folder, "new")
    assert list(tmp_path.iterdir()) == [folder]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"
