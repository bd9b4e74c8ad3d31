from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from wilor_yolo.cli.main import main
from wilor_yolo.hands import Hands

LEFT_BOX = ("left", 20, 30, 80, 110)
RIGHT_BOX = ("right", 200, 60, 290, 160)


@pytest.fixture
def shots(tmp_path: Path, painter: Any) -> Path:
    """Two pictures of one name, a broken one, a video and a list of all of them."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    cv2.imwrite(str(tmp_path / "a" / "shot.png"), painter([LEFT_BOX]))
    cv2.imwrite(str(tmp_path / "b" / "shot.png"), painter([LEFT_BOX, RIGHT_BOX]))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    image = painter([RIGHT_BOX])
    writer = cv2.VideoWriter(
        str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, image.shape[1::-1]
    )
    for _ in range(3):
        writer.write(image)
    writer.release()
    names = ["a/shot.png", "b/shot.png", "broken.jpg", "clip.avi"]
    (tmp_path / "list.txt").write_text("\n".join(str(tmp_path / name) for name in names))
    return tmp_path / "list.txt"


def test_pictures_and_videos_of_a_list(
    blobs: Any, tiny_reconstructor: Path, shots: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "out"
    words = ["predict", f"source={shots}", f"out={out}", f"reconstructor={tiny_reconstructor}"]
    words += ["engine=local", "workers=1", "track=False"]
    assert main(words) == 1  # one picture is broken
    said = capsys.readouterr()
    assert "1 files failed, 3 hands, 2 pictures, 1 videos" in said.out and "broken" in said.err
    both = sorted(path for path in out.glob("*.hands.json"))
    hands = [Hands.from_json(path) for path in both]
    assert sorted(len(h) for h in hands) == [1, 2] and all(h.reconstructed for h in hands)
    for path in both:
        stem = path.name.removesuffix(".hands.json")
        assert (out / f"{stem}.glb").is_file() and cv2.imread(str(out / f"{stem}.jpg")) is not None
    video = out / "clip"
    assert len((video / "hands.jsonl").read_text().splitlines()) == 3
    assert (video / "clip.mp4").is_file() and (video / ".done").is_file()

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    both[0].unlink()  # as a run that was killed before it
    assert main(words) == 1
    assert "2 files done before, 1 files failed" in capsys.readouterr().out
    again = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert set(again) == set(before)
    changed = {path.name for path in before if again[path] != before[path]}
    stem = both[0].name.removesuffix(".hands.json")
    assert changed == {"names.json", f"{stem}.hands.json", f"{stem}.glb", f"{stem}.jpg"}


@pytest.fixture
def local(blobs: Any, tiny_reconstructor: Path, tmp_path: Path, monkeypatch: Any) -> Any:
    """``local("source=...", ...)`` -> exit code, in a folder with one picture, photos/a.jpg."""
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "a.jpg"), np.full((32, 32, 3), 90, np.uint8))
    monkeypatch.chdir(tmp_path)
    given = [f"reconstructor={tiny_reconstructor}", "engine=local", "workers=1"]
    return lambda *words: main(["predict", *given, *words])


def test_sources_are_not_written_over(local: Any, painter: Any, capsys: Any) -> None:
    photo = Path("photos/a.jpg")
    Path("list.txt").write_text("photos/a.jpg\n")
    before = photo.read_bytes()
    for source in ("photos", "photos/a.jpg", "list.txt"):
        assert local(f"source={source}", "out=photos") == 2
        error = capsys.readouterr().err
        assert "out= is the folder of the source; give another." in error
        assert error.count("\n") == 1
    assert photo.read_bytes() == before
    assert [path.name for path in photo.parent.iterdir()] == ["a.jpg"]


def test_drawings_are_not_taken_for_pictures(local: Any, capsys: Any) -> None:
    assert local("source=.") == 0
    assert local("source=.") == 0
    assert "1 files done before" in capsys.readouterr().out.splitlines()[-1]
    drawings = [path.name for path in Path("runs/predict").glob("*.jpg")]
    assert drawings == ["photos_a.jpg"]


def test_names_do_not_pass_to_other_files(local: Any, painter: Any, capsys: Any) -> None:
    """`b_c.jpg` is done under the name that `b/c.jpg`, which comes first, would get of the two."""
    Path("photos/a.jpg").rename("photos/b_c.jpg")
    assert local("source=photos", "out=out") == 0
    Path("photos/b").mkdir()
    cv2.imwrite("photos/b/c.jpg", painter([LEFT_BOX]))
    assert local("source=photos", "out=out") == 0
    assert "1 files done before, 1 hands, 1 pictures" in capsys.readouterr().out
    every = [Hands.from_json(path) for path in Path("out").glob("*.hands.json")]
    assert {h.source: len(h) for h in every} == {"photos/b_c.jpg": 0, "photos/b/c.jpg": 1}


def test_large_pictures_share_no_batch(local: Any, blobs: Any, monkeypatch: Any) -> None:
    for name in "bcde":
        Path(f"photos/{name}.jpg").write_bytes(Path("photos/a.jpg").read_bytes())
    monkeypatch.setattr("wilor_yolo.cli.pictures.BATCH_PIXELS", 2 * 32 * 32)
    assert local("source=photos", "out=out") == 0
    assert [len(shapes) for shapes, _ in blobs[0].seen] == [2, 2, 1]


def test_a_folder_belongs_to_one_job(local: Any, capsys: Any) -> None:
    assert local("source=photos", "out=out", "conf=0.4") == 0
    assert local("source=photos", "out=out", "conf=0.4", "device=cpu") == 0
    for words, named in (
        (["source=photos", "conf=0.5"], "conf=0.4, now conf=0.5"),
        (["source=photos/a.jpg", "conf=0.4"], "photos/a.jpg"),
    ):
        capsys.readouterr()
        assert local(*words, "out=out") == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and named in error and "give another out=." in error
    assert local("source=photos", "out=new", "detector=none", "K=1,1,1,1") == 0
    Path("new/a.hands.json").unlink()
    assert local("source=photos", "out=new") == 0  # nothing had been done
    Path("out/job.json").unlink()  # as of an older version
    assert local("source=photos", "out=out", "conf=0.5") == 0
    assert "1 files done before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["engine=local"], "source="),
        (["engine=ray", "source=list.txt", "show=True"], "show=False"),
        (["engine=ray", "source=absent.txt"], "absent.txt does not exist"),
        (["engine=spark", "source=list.txt"], "one of single, local, ray"),
    ],
)
def test_bad_keys(
    words: list[str], message: str, shots: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(shots.parent)
    assert main(["predict", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_two_workers_with_the_shipped_weights(
    engine: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    from ultralytics.utils import ASSETS

    if engine == "ray":
        pytest.importorskip("ray.data")
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    picture = cv2.imread(str(ASSETS / "zidane.jpg"))
    cv2.imwrite(str(tmp_path / "zidane.jpg"), picture)
    small = cv2.resize(picture, (640, 360))
    writer = cv2.VideoWriter(
        str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (640, 360)
    )
    for _ in range(2):
        writer.write(np.ascontiguousarray(small))
    writer.release()
    out = tmp_path / "out"
    words = ["predict", f"source={tmp_path}", f"out={out}", f"engine={engine}", "workers=2"]
    assert main([*words, "save=False", "save_mesh=False", "device=cpu", "track=False"]) == 0
    assert "1 pictures, 1 videos" in capsys.readouterr().out
    assert (out / "zidane.hands.json").is_file() and (out / "clip" / ".done").is_file()
