from __future__ import annotations

import os
from pathlib import Path

import pytest

from wilor_yolo.cli.folder import folder_of_run, new_folder, spare_sources, unused_stems
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


def test_a_folder_of_a_run_that_wrote_nothing_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("mine", "full", "empty"):
        with folder_of_run(tmp_path / name) as folder:
            if name == "full":
                (folder / "a").touch()
    with pytest.raises(HandError), folder_of_run(tmp_path / "failed"):
        raise HandError("no")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "mine"]


def test_folders_without_a_name_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "a" / "b"
    work.mkdir(parents=True)
    (work / "file").touch()
    monkeypatch.chdir(work)
    assert new_folder(".") == tmp_path / "a" / "b2"
    assert new_folder("..") == tmp_path / "a2"
    assert new_folder(".", exist_ok=True) == work


def test_sources_are_spared_by_whatever_name(tmp_path: Path) -> None:
    source = tmp_path / "photos" / "a.jpg"
    source.parent.mkdir()
    source.touch()
    (tmp_path / "link").symlink_to("photos", target_is_directory=True)
    spare_sources([tmp_path / "a.jpg", source.with_name("b.jpg")], [source, tmp_path / "gone.jpg"])
    for target in (source, tmp_path / "link" / "a.jpg", tmp_path / "photos" / ".." / source):
        with pytest.raises(HandError, match=r"a\.jpg is a source and would be written over"):
            spare_sources([target], [source])


def test_stems_never_collide() -> None:
    paths = [Path(p) for p in ("a.jpg", "b/A.png", "c/a.jpg", "b.jpg", "d/a.jpg", "a_jpg.png")]
    stems = unused_stems(paths)
    assert stems[0] == "a" and stems[3] == "b"
    assert len({stem.lower() for stem in stems}) == len(paths)
