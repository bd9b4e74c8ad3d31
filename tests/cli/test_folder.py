from __future__ import annotations

import os
from pathlib import Path

import pytest

from wilor_yolo.cli.folder import discard_if_empty, new_folder, unused_stems
from wilor_yolo.errors import HandError


def test_numbers_go_up_past_folders_with_files(tmp_path: Path) -> None:
    wanted = tmp_path / "runs" / "predict"
    for name in ("predict", "predict2", "predict3"):
        folder = new_folder(wanted)
        assert folder == wanted.with_name(name)
        (folder / "a").touch()
    assert new_folder(wanted, exist_ok=True) == wanted


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert new_folder(tmp_path / "a") == new_folder(tmp_path / "a") == tmp_path / "a"


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(HandError, match=r"out is a file; give another folder with out="):
        new_folder(tmp_path / "out")
    with pytest.raises(HandError, match=r"cannot be written to \(Not a directory\)"):
        new_folder(tmp_path / "out" / "deeper")


def test_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(HandError, match=r"out cannot be written to \(Permission denied\); give"):
        new_folder(tmp_path / "out")
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(HandError, match=r"cannot be written to \(Permission denied\)"):
        new_folder(tmp_path / "new")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs Linux' /proc")
def test_a_file_system_that_takes_no_folders() -> None:
    with pytest.raises(HandError, match="/proc/wilor-yolo-test cannot be written to"):
        new_folder("/proc/wilor-yolo-test")


def test_discard(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    discard_if_empty(tmp_path / "empty")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    discard_if_empty(tmp_path / "full")
    assert [p.name for p in tmp_path.iterdir()] == ["full"]


def test_stems_never_collide() -> None:
    paths = [Path(p) for p in ("a.jpg", "b/A.png", "c/a.jpg", "b.jpg", "d/a.jpg", "a_jpg.png")]
    stems = unused_stems(paths)
    assert stems[0] == "a" and stems[3] == "b"
    assert len({stem.lower() for stem in stems}) == len(paths)
