"""``wilor-yolo predict`` from end to end, in this process, with painted hands."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh
from PIL import Image

from wilor_yolo.cli.main import main
from wilor_yolo.cli.pictures import counted
from wilor_yolo.cli.predict import HELP
from wilor_yolo.cli.predict_options import PredictOptions
from wilor_yolo.hands import Hands

LEFT_BOX = ("left", 20, 30, 80, 110)
RIGHT_BOX = ("right", 200, 60, 290, 160)


@pytest.fixture
def predict(
    blobs: Any, tiny_reconstructor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """``predict("source=...", ...)`` -> exit code; the working folder is empty."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("COLUMNS", "200")  # rich wraps tables at 80 otherwise
    return lambda *args: main(["predict", f"reconstructor={tiny_reconstructor}", *args])


@pytest.fixture
def photo(tmp_path: Path, painter: Any) -> Path:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), painter([LEFT_BOX, RIGHT_BOX]))
    return path


def _files(folder: str) -> list[str]:
    return sorted(p.name for p in Path(folder).iterdir())


def test_every_key_is_documented() -> None:
    for name in PredictOptions.__dataclass_fields__:
        assert f"  {name}=" in HELP


def test_a_picture(predict: Any, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(f"source={photo}") == 0
    output = capsys.readouterr().out
    rows = [line.split() for line in output.splitlines() if line.startswith("photo.png")]
    assert [row[1:9] for row in rows] == [
        ["0", "right", "0.90", "200", "60", "290", "160", rows[0][8]],
        ["1", "left", "0.90", "20", "30", "80", "110", rows[1][8]],
    ]
    assert "Written to runs/predict" in output
    assert "bundled" not in output
    assert _files("runs/predict") == ["hands.json", "photo.glb", "photo.jpg"]

    hands = Hands.from_json("runs/predict/hands.json")
    assert hands.side == ["right", "left"] and hands.reconstructed
    assert hands.source == str(photo)
    assert [float(row[8]) for row in rows] == pytest.approx(hands.distance, abs=0.006)
    scene = trimesh.load("runs/predict/photo.glb")
    assert sorted(scene.geometry) == ["hand_0_right", "hand_1_left"]
    drawn = cv2.imread("runs/predict/photo.jpg").astype(int)
    original = cv2.imread(str(photo)).astype(int)
    assert drawn.shape == original.shape
    assert (np.abs(drawn - original).max(axis=2) > 60).mean() > 0.005


def test_nothing_found_now_takes_away_the_mesh_of_before(predict: Any, photo: Path) -> None:
    assert predict(f"source={photo}", "out=o") == 0 and Path("o/photo.glb").exists()
    cv2.imwrite(str(photo), np.zeros_like(cv2.imread(str(photo))))
    assert predict(f"source={photo}", "out=o", "exist_ok=True") == 0
    assert _files("o") == ["hands.json", "photo.jpg"]


def test_brackets_in_names_are_no_markup(
    predict: Any, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = photo.rename(photo.with_name("a [red].png"))
    assert predict(f"source={other}", "out=z [final]/[/x]") == 0
    output = capsys.readouterr().out
    assert "Written to z [final]/[/x]" in output and "a [red].png" in output


def test_second_run_gets_its_own_folder(predict: Any, photo: Path) -> None:
    for _ in range(2):
        assert predict(f"source={photo}") == 0
    assert _files("runs") == ["predict", "predict2"]
    assert predict(f"source={photo}", "exist_ok=True") == 0
    assert _files("runs") == ["predict", "predict2"]
    assert predict(f"source={photo}", "out=mine/here") == 0
    assert _files("mine/here") == ["hands.json", "photo.glb", "photo.jpg"]


def test_pictures_are_not_written_over(
    predict: Any, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = cv2.imread(str(photo))
    for name in ("one.jpg", "two.jpg"):
        cv2.imwrite(name, picture)
    before = {path: path.read_bytes() for path in Path().iterdir()}
    for source in ("one.jpg", "."):
        assert predict(f"source={source}", "out=.", "exist_ok=True") == 2
        error = capsys.readouterr().err
        assert "out= is the folder of the source; give another." in error
        assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in Path().iterdir()} == before
    assert predict("source=one.jpg", "out=.", "exist_ok=True", "save=False") == 0
    assert predict(f"source={photo}", "out=.", "exist_ok=True") == 0  # another file than photo.jpg


def test_home_is_expanded(predict: Any, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photo.parent))
    assert predict("source=~/photo.png", "out=~/hands", "save=False") == 0
    assert (photo.parent / "hands" / "hands.json").is_file() and not Path("~").exists()


def test_bundled_picture(predict: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict() == 0
    output = capsys.readouterr().out
    assert "This was the bundled picture" in output
    assert "zidane.jpg" in output
    hands = Hands.from_json("runs/predict/hands.json")
    assert hands.image_size == (1280, 720)
    assert Path(hands.source).parts[-3:] == ("ultralytics", "assets", "zidane.jpg")


def test_no_hand_is_a_result(
    predict: Any, tmp_path: Path, painter: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "empty.png"), painter([]))
    assert predict(f"source={tmp_path / 'empty.png'}") == 0
    assert "No hand found in empty.png." in capsys.readouterr().out
    assert _files("runs/predict") == ["empty.jpg", "hands.json"]
    assert len(Hands.from_json("runs/predict/hands.json")) == 0


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["save=False"], ["hands.json", "photo.glb"]),
        (["save_json=False"], ["photo.glb", "photo.jpg"]),
        (["save_mesh=False"], ["hands.json", "photo.jpg"]),
    ],
)
def test_what_is_written(predict: Any, photo: Path, keys: list[str], expected: list[str]) -> None:
    assert predict(f"source={photo}", *keys) == 0
    assert _files("runs/predict") == expected


def test_nothing_is_written(predict: Any, photo: Path) -> None:
    assert predict(f"source={photo}", "save=False", "save_json=False", "save_mesh=False") == 0
    assert not Path("runs").exists()


def test_draw_chooses_what_is_drawn(predict: Any, photo: Path) -> None:
    for what in ("mesh", "boxes", "skeleton"):
        assert predict(f"source={photo}", f"draw={what}", f"out={what}") == 0
    drawn = {what: cv2.imread(f"{what}/photo.jpg") for what in ("mesh", "boxes", "skeleton")}
    assert not np.array_equal(drawn["mesh"], drawn["boxes"])
    assert not np.array_equal(drawn["skeleton"], drawn["boxes"])


def test_detector_keys_arrive(predict: Any, photo: Path, blobs: Any, tiny_detector: Path) -> None:
    assert (
        predict(f"source={photo}", "conf=0.4", "imgsz=640", "iou=0.7", f"detector={tiny_detector}")
        == 0
    )
    settings = blobs[0].seen[0][1]
    assert (settings["conf"], settings["imgsz"], settings["iou"]) == (0.4, 640, 0.7)
    assert settings["device"] == "cpu"
    assert blobs[0].model == str(tiny_detector)


def test_hand_model_is_used(predict: Any, photo: Path, tmp_path: Path) -> None:
    from wilor_yolo.weights_dir import FREE_HAND, shipped

    with np.load(shipped(FREE_HAND)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["v_template"] = 2 * arrays["v_template"]
    np.savez(tmp_path / "large.npz", **arrays)
    assert predict(f"source={photo}", "out=small") == 0
    assert predict(f"source={photo}", f"hand_model={tmp_path / 'large.npz'}", "out=large") == 0
    sizes = [
        np.ptp(Hands.from_json(f"{name}/hands.json").vertices[0], axis=0).max()
        for name in ("small", "large")
    ]
    assert sizes[1] > 1.4 * sizes[0]


@pytest.mark.parametrize(
    ("keys", "focal", "centre"),
    [
        ([], 320, 159.5),
        (["focal=1000"], 1000, 159.5),
        (["K=900,910,150,120"], 900, 150),
        (["camera=released"], 5000 / 256 * 320, 160),
    ],
)
def test_camera(predict: Any, photo: Path, keys: list[str], focal: float, centre: float) -> None:
    assert predict(f"source={photo}", *keys) == 0
    K = Hands.from_json("runs/predict/hands.json").K
    assert K[0, 0] == pytest.approx(focal) and K[0, 2] == pytest.approx(centre)


def test_camera_of_the_file_and_its_rotation(predict: Any, painter: Any, tmp_path: Path) -> None:
    """A turned photograph with a focal length: the boxes are those of the upright picture."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 30
    upright = Image.fromarray(painter([RIGHT_BOX])[..., ::-1])
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert predict(f"source={tmp_path / 'turned.jpg'}") == 0
    hands = Hands.from_json("runs/predict/hands.json")
    assert hands.image_size == (320, 240)
    np.testing.assert_allclose(hands.bbox_xyxy, [[200, 60, 290, 160]], atol=2)
    assert hands.K[0, 0] == pytest.approx(30 * 400 / 43.2666, rel=1e-4)


def test_a_folder_goes_on_after_a_bad_picture(
    predict: Any, photo: Path, tmp_path: Path, painter: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), painter([LEFT_BOX]))
    (folder / "b.jpg").write_bytes(photo.read_bytes()[:200])
    (folder / "c.png").touch()
    cv2.imwrite(str(folder / "d.png"), painter([RIGHT_BOX, LEFT_BOX], (400, 300)))
    cv2.imwrite(str(folder / "e.jpg"), painter([]))
    cv2.imwrite(str(folder / "a.jpg"), painter([RIGHT_BOX]))
    assert predict(f"source={folder}") == 1
    captured = capsys.readouterr()
    assert "4 pictures, 4 hands." in captured.out
    assert "No hand found in e.jpg." in captured.out
    assert "2 of 6 pictures failed: b.jpg, c.png" in captured.err
    assert "b.jpg is cut off" in captured.err
    assert "c.png is empty (0 bytes)" in captured.err
    assert _files("runs/predict") == [
        "a.glb",
        "a.hands.json",
        "a.jpg",
        "a_png.glb",
        "a_png.hands.json",
        "a_png.jpg",
        "d.glb",
        "d.hands.json",
        "d.jpg",
        "e.hands.json",
        "e.jpg",
    ]
    assert Hands.from_json("runs/predict/a.hands.json").side == ["right"]
    assert Hands.from_json("runs/predict/a_png.hands.json").side == ["left"]


def test_glob_and_list(predict: Any, photo: Path, tmp_path: Path) -> None:
    assert predict(f"source={tmp_path}/*.png") == 0
    assert _files("runs/predict") == ["hands.json", "photo.glb", "photo.jpg"]
    (tmp_path / "list.txt").write_text("photo.png\nphoto.png\n", encoding="utf-8")
    assert predict(f"source={tmp_path / 'list.txt'}", "save_mesh=False", "save=False") == 0
    assert _files("runs/predict2") == ["photo.hands.json", "photo_png.hands.json"]


def test_videos_that_are_left_out_are_told(
    predict: Any, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photo.parent / "clip.mp4").touch()
    (photo.parent / "torn.png").touch()
    assert predict(f"source={photo.parent}", "save=False") == 1
    captured = capsys.readouterr()
    note = f"note: videos in {photo.parent} are left out (1); give one by name, or engine=local"
    assert note in captured.err
    assert "1 picture, 2 hands." in captured.out


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 pictures"), (1, "1 picture"), (2, "2 pictures")]
)
def test_counted(number: int, expected: str) -> None:
    assert counted(number, "picture") == expected


def test_long_tables_are_cut(
    predict: Any, tmp_path: Path, painter: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(45):
        cv2.imwrite(str(folder / f"{i:02d}.png"), painter([LEFT_BOX], (120, 120)))
    keys = ["save=False", "save_json=False", "save_mesh=False"]
    assert predict(f"source={folder}", *keys) == 0
    output = capsys.readouterr().out
    assert "39.png" in output and "40.png" not in output
    assert "... and 5 more hands" in output
    assert "45 pictures, 45 hands." in output


def test_batches_are_bounded(
    predict: Any, tmp_path: Path, painter: Any, blobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(11):
        cv2.imwrite(str(folder / f"{i:02d}.png"), painter([], (120, 120)))
    assert predict(f"source={folder}", "save=False") == 0
    assert [len(shapes) for shapes, _ in blobs[0].seen] == [8, 3]
    monkeypatch.setattr("wilor_yolo.cli.pictures.BATCH_PIXELS", 2 * 120 * 120)
    assert predict(f"source={folder}", "save=False") == 0
    assert [len(shapes) for shapes, _ in blobs[1].seen] == [2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["source=gone.jpg"], "gone.jpg does not exist; check the path."),
        (["source=."], ". holds no pictures; give a folder with JPEG or PNG files in it."),
        (["detector=gone.pt"], "detector=gone.pt does not exist; check the path."),
        (["hand_model=gone.pkl"], "hand_model=gone.pkl does not exist; check the path."),
        (
            ["tracker=gone.yaml"],
            "tracker=gone.yaml is no .yaml file that is there; give the path of your own, or one",
        ),
        (["device=cuda:7"], "use device=cpu."),
        (["device=quantum"], "device=quantum is not there; use cpu, cuda:0, mps or auto."),
        (["focal=500", "camera=released"], "focal and camera contradict each other; keep one."),
        (["out=/proc/wilor-yolo-test"], "/proc/wilor-yolo-test cannot be written to"),
    ],
)
def test_bad_input_is_one_line(
    predict: Any, keys: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(*keys) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and message in captured.err
    assert not any(Path().rglob("predict*"))  # no empty folder left behind


def test_the_only_picture_fails(
    predict: Any, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo.write_bytes(photo.read_bytes()[:100])
    assert predict(f"source={photo}") == 2
    assert "photo.png is cut off" in capsys.readouterr().err
    assert not any(Path("runs").glob("*"))


def test_weights_that_are_none(
    predict: Any, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    code = main(["predict", f"source={photo}", f"reconstructor={tmp_path / 'bad.safetensors'}"])
    assert code == 2
    assert "bad.safetensors is damaged or no .safetensors file" in capsys.readouterr().err


def test_show_needs_a_display(
    predict: Any, photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise cv2.error("no display")

    monkeypatch.setattr("wilor_yolo.cli.pictures.check_display", lambda: None)
    monkeypatch.setattr(cv2, "imshow", refuse)
    assert predict(f"source={photo}", "show=True") == 2
    assert "show=True needs a display" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a display is always there")
@pytest.mark.parametrize("stale", [{}, {"DISPLAY": ":77"}])
def test_show_without_a_display_ends_before_the_run(
    stale: dict[str, str],
    predict: Any,
    photo: Path,
    blobs: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With nothing replaced: Qt would end the process, and these tests with it."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in stale.items():
        monkeypatch.setenv(name, value)
    assert predict(f"source={photo}", "show") == 2
    error = capsys.readouterr().err
    assert "show=True needs a display" in error and error.count("\n") == 1
    assert not blobs and not Path("runs").exists()


def test_show_opens_a_window(
    predict: Any, photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    monkeypatch.setattr("wilor_yolo.cli.pictures.check_display", lambda: None)
    monkeypatch.setattr(cv2, "imshow", lambda name, image: shown.append(image.shape))
    monkeypatch.setattr(cv2, "waitKey", lambda delay: ord("x"))
    assert predict(f"source={photo}", "show") == 0
    assert shown == [(240, 320, 3)]
    Path("list.txt").write_text(f"{photo}\n{photo}\n")
    keys = iter([ord("x"), ord("x"), ord("q")])
    monkeypatch.setattr(cv2, "waitKey", lambda delay: next(keys))
    for pictures in (2, 1):  # q ends a run as the last picture does
        capsys.readouterr()
        assert predict("source=list.txt", "show") == 0
        assert f"\n{pictures} picture" in capsys.readouterr().out


# --- videos ---------------------------------------------------------------------------------


@pytest.fixture
def clip(painter: Any, write_video: Any) -> Path:
    """Six frames: a right hand that is seen as left once, and a left hand from frame 2 on."""
    frames = []
    for i in range(6):
        hands = [("left" if i == 3 else "right", 200, 60, 290, 160)]
        if i >= 2:
            hands.append(("left", 10, 30, 60, 90))
        frames.append(painter(hands))
    return write_video(frames)


def _lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def _count_frames(path: str) -> tuple[int, tuple[int, int], float]:
    capture = cv2.VideoCapture(path)
    fps = capture.get(cv2.CAP_PROP_FPS)
    frames, size = 0, (0, 0)
    while True:
        good, image = capture.read()
        if not good:
            return frames, size, fps
        frames, size = frames + 1, (image.shape[1], image.shape[0])


def test_a_video(
    predict: Any,
    clip: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wilor_yolo.pipeline.can_track", lambda: True)
    assert predict(f"source={clip}") == 0
    output = capsys.readouterr().out
    rows = [line.split()[:3] for line in output.splitlines() if line[:1].isdigit()]
    assert ["1", "right", "6"] in rows and ["2", "left", "4"] in rows
    assert "6 frames of clip." in output
    assert _files("runs/predict") == ["clip.mp4", "hands.jsonl"]
    assert _count_frames("runs/predict/clip.mp4") == (6, (320, 240), pytest.approx(10))
    lines = _lines("runs/predict/hands.jsonl")
    assert [line["frame"] for line in lines] == list(range(6))
    assert lines[5]["time"] == pytest.approx(0.5)
    hands = [Hands.from_dict(line["hands"]) for line in lines]
    assert [len(h) for h in hands] == [1, 1, 2, 2, 2, 2]
    assert hands[3].side == ["right", "left"]  # the vote
    assert hands[3].reconstructed


def test_trackers(tmp_path: Path) -> None:
    """Those of Ultralytics by name, one's own by its path."""
    own = tmp_path / "own.yaml"
    own.touch()
    for tracker in ("bytetrack.yaml", "botsort.yaml", str(own)):
        assert PredictOptions(tracker=tracker).tracker == tracker


def test_a_video_without_tracking(
    predict: Any, clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wilor_yolo.pipeline.can_track", lambda: False)
    assert predict(f"source={clip}") == 0
    captured = capsys.readouterr()
    assert (
        'note: hands are not tracked, because lap is missing: pip install "wilor-yolo[track]"'
        in (captured.err)
    )
    hands = [Hands.from_dict(line["hands"]) for line in _lines("runs/predict/hands.jsonl")]
    assert hands[3].side == ["left", "left"] and hands[3].track_id is None
    assert predict(f"source={clip}", "track=False") == 0
    assert "note:" not in capsys.readouterr().err
    assert predict(f"source={clip}", "track=True") == 2
    assert "tracking needs lap" in capsys.readouterr().err


def test_a_video_is_not_written_over(
    predict: Any, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = clip.read_bytes()
    assert predict(f"source={clip}", f"out={clip.parent}", "exist_ok=True", "track=False") == 2
    assert "out= is the folder of the source; give another." in capsys.readouterr().err
    assert clip.read_bytes() == before


def test_a_torn_video_is_told(
    predict: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    grain = np.random.default_rng(0).integers(80, 100, (48, 64, 3), np.uint8)
    for _ in range(24):
        writer.write(grain)
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    keys = [f"source={path}", "track=False", "save=False"]
    assert predict(*keys) == 1
    error = capfd.readouterr().err
    assert "clip.avi is cut off: it ends at " in error and "its header says 2.4 s." in error
    assert _files("runs/predict") == ["hands.jsonl"]  # as far as it goes
    assert predict(*keys, "max_frames=5") == 0
    assert predict(*keys, "engine=local", "workers=1", "out=many") == 1
    assert _files("many/clip") == ["hands.jsonl"]  # and no .done


@pytest.mark.parametrize("rate", [4, 40])
def test_the_film_of_a_camera_lasts_as_long_as_it_ran(
    rate: int, predict: Any, painter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that says 10 frames a second; `rate` of them are worked off, for 2 seconds."""

    width, height, fps = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS

    class Camera:
        left = 2 * rate

        def get(self, what: int) -> float:
            return {width: 64.0, height: 48.0, fps: 10.0}.get(what, 0.0)

        def read(self) -> tuple[bool, np.ndarray | None]:
            self.left -= 1
            return self.left >= 0, painter([], (64, 48))

        def release(self) -> None:
            pass

    ticks = iter([0, *range(2 * rate)])  # the clock is read twice at the first frame
    clock = SimpleNamespace(monotonic=lambda: next(ticks) / rate)
    monkeypatch.setattr("wilor_yolo.sources.time", clock)
    monkeypatch.setattr("wilor_yolo.sources._capture", lambda _: Camera())
    assert predict("source=0", "track=False") == 0
    frames, _, written_fps = _count_frames("runs/predict/camera0.mp4")
    assert written_fps == pytest.approx(10) and frames / 10 == pytest.approx(2, abs=0.3)
    assert len(_lines("runs/predict/hands.jsonl")) == 2 * rate


def test_video_keys(predict: Any, clip: Path) -> None:
    keys = ["track=False", "stride=2", "max_frames=2", "save_mesh=True", "focal=700"]
    assert predict(f"source={clip}", *keys) == 0
    assert _files("runs/predict") == [
        "clip.mp4",
        "clip_000000.glb",
        "clip_000002.glb",
        "hands.jsonl",
    ]
    lines = _lines("runs/predict/hands.jsonl")
    assert [line["frame"] for line in lines] == [0, 2]
    assert lines[0]["hands"]["K"][0][0] == 700
    assert _count_frames("runs/predict/clip.mp4") == (2, (320, 240), pytest.approx(5))


def test_video_of_odd_size_and_without_hands(
    predict: Any, write_video: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_video([np.full((97, 131, 3), 90, np.uint8)] * 3, "odd.avi")
    size = _count_frames(str(path))[1]
    assert predict(f"source={path}", "track=False", "save_json=False") == 0
    assert "No hand found in 3 frames of odd." in capsys.readouterr().out
    assert _files("runs/predict") == ["odd.mp4"]
    frames, written, _ = _count_frames("runs/predict/odd.mp4")
    assert frames == 3
    assert all(0 <= w - s <= 1 for w, s in zip(written, size, strict=True))


def test_video_writes_nothing(predict: Any, clip: Path) -> None:
    assert predict(f"source={clip}", "track=False", "save=False", "save_json=False") == 0
    assert not any(Path("runs").glob("*"))


def test_interrupted_video_keeps_what_is_done(
    predict: Any, clip: Path, monkeypatch: pytest.MonkeyPatch, blobs: Any
) -> None:
    from wilor_yolo.pipeline import HandPipeline

    stream = HandPipeline.stream

    def interrupted(self: HandPipeline, *args: Any, **keys: Any) -> Any:
        for number, pair in enumerate(stream(self, *args, **keys)):
            if number == 3:
                raise KeyboardInterrupt
            yield pair

    monkeypatch.setattr(HandPipeline, "stream", interrupted)
    assert predict(f"source={clip}", "track=False") == 130
    assert _files("runs/predict") == ["clip.mp4", "hands.jsonl"]
    assert len(_lines("runs/predict/hands.jsonl")) == 3
    assert _count_frames("runs/predict/clip.mp4")[0] == 3


@pytest.mark.parametrize("broken", ["frame", "film"])
def test_a_failed_video_leaves_no_torn_files(
    broken: str, predict: Any, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"source={clip}", "track=False", "exist_ok=True"]
    assert predict(*keys) == 0
    before = {path: path.read_bytes() for path in Path("runs/predict").iterdir()}
    assert len(before) == 2

    def fail() -> Any:
        raise RuntimeError("broken")

    if broken == "frame":  # the third
        to_dict, calls = Hands.to_dict, iter(range(6))
        monkeypatch.setattr(Hands, "to_dict", lambda h: to_dict(h) if next(calls) < 2 else fail())
    else:  # the disk is full when the last frames of the MP4 are flushed
        pytest.importorskip("av")
        monkeypatch.setattr("wilor_yolo.cli.video_writer._H264.release", lambda film: fail())
    with pytest.raises(RuntimeError, match="broken"):
        predict(*keys)
    assert {path: path.read_bytes() for path in Path("runs/predict").iterdir()} == before


def test_window_of_a_video_can_be_closed(
    predict: Any, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wilor_yolo.cli.pictures.check_display", lambda: None)
    monkeypatch.setattr(cv2, "imshow", lambda name, image: None)
    keys = iter([-1, -1, ord("q")])
    monkeypatch.setattr(cv2, "waitKey", lambda delay: next(keys))
    assert predict(f"source={clip}", "track=False", "show", "save=False") == 0
    assert len(_lines("runs/predict/hands.jsonl")) == 3


def test_a_damaged_video(predict: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.mp4").write_bytes(os.urandom(300))
    assert predict(f"source={tmp_path / 'bad.mp4'}") == 2
    assert (
        "bad.mp4 is damaged or no video we can read; convert it to MP4." in capfd.readouterr().err
    )


def test_a_known_hand_length(predict: Any, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for length in ("0.15", "0.3"):
        assert predict(f"source={photo}", f"out=l{length}", f"hand_length={length}") == 0
    small, large = (Hands.from_json(f"l{length}/hands.json") for length in ("0.15", "0.3"))
    assert np.allclose(large.cam_t, 2 * small.cam_t, rtol=1e-3)
    assert np.allclose(large.keypoints_2d, small.keypoints_2d, atol=1e-3)
    assert predict(f"source={photo}", "hand_length=19") == 2
    assert "hand_length=19 should be a number from 0.04 to 0.35" in capsys.readouterr().err


def test_another_backend(predict: Any, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for backend in ("torch", "openvino"):
        assert predict(f"source={photo}", f"out={backend}", f"reconstructor_backend={backend}") == 0
    one, other = (Hands.from_json(f"{backend}/hands.json") for backend in ("torch", "openvino"))
    assert np.abs(one.vertices - other.vertices).max() < 1e-4
    assert predict(f"source={photo}", "reconstructor_backend=onnx") == 2
    assert "needs an .onnx file" in capsys.readouterr().err
