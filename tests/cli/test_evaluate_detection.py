"""Detectors and peers through one evaluator, on every layout of truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from wilor_yolo.cli.evaluate_detection import of_sources, true_pictures
from wilor_yolo.cli.main import main
from wilor_yolo.cli.peers import open_peer
from wilor_yolo.data.yolo_set import data_yaml_text
from wilor_yolo.errors import HandError
from wilor_yolo.evaluate.true_pictures import TruePicture
from wilor_yolo.metrics.detection import UNKNOWN, PictureHands
from wilor_yolo.skeleton import LEFT, RIGHT

SIZE = (320, 240)
HANDS = [("left", 20, 30, 80, 110), ("right", 200, 100, 290, 200)]


@pytest.fixture
def yolo_set(tmp_path: Path, painter: Any) -> Path:
    """Two pictures of both hands in val, the second shifted; the side of one hand is unknown."""
    root = tmp_path / "hands"
    for kind in ("images", "labels"):
        (root / kind / "val").mkdir(parents=True)
    for name, shift in (("a", 0), ("b", 10)):
        hands = [(side, x0 + shift, y0, x1 + shift, y1) for side, x0, y0, x1, y1 in HANDS]
        cv2.imwrite(str(root / "images" / "val" / f"{name}.png"), painter(hands))
        lines = []
        for side, x0, y0, x1, y1 in hands:
            cls = 2 if name == "b" and side == "left" else int(side == "right")
            box = (x0 + x1) / 640, (y0 + y1) / 480, (x1 - x0) / 320, (y1 - y0) / 240
            lines.append(f"{cls} " + " ".join(f"{v:.6f}" for v in box) + 21 * " 0 0 0")
        (root / "labels" / "val" / f"{name}.txt").write_text("\n".join(lines))
    path = root / "data.yaml"
    path.write_text(data_yaml_text(root, "images/train", "images/val"))
    return path


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_a_yolo_set_and_back_from_a_file(
    yolo_set: Path, tmp_path: Path, blobs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    keys = [f"data={yolo_set}", "seconds=0.01", f"out={out}"]
    assert main(["evaluate", "detection", *keys]) == 0
    name, head, row, *_ = rows(capsys.readouterr().out)
    assert name[0] == "hand-n.pt," and name[-1] == "pictures/s"
    assert row[:5] == ["data", "2", "4", "1.000", "1.000"]
    values = dict(zip([w for w in head if w != "l/r"], row, strict=True))
    assert values["side"] == "1.000" and values["(n)"] == "3"  # the fourth side is unknown
    scores = json.loads((out / "scores.json").read_text())
    assert scores["results"][0]["ap_sides"] == 1.0 and scores["pictures"] == 2
    assert len(scores["sha256"]["hand-n.pt"]) == 64
    # The file it wrote is a detector too, with the same scores.
    again = f"detector={out / 'detections.json'}"
    assert main(["evaluate", "detection", keys[0], again]) == 0
    assert rows(capsys.readouterr().out)[2] == row
    detections = json.loads((out / "detections.json").read_text())
    detections["detections"].pop()
    (out / "part.json").write_text(json.dumps(detections))
    assert main(["evaluate", "detection", keys[0], f"detector={out / 'part.json'}"]) == 2
    assert "part.json has no entry for" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_said_before_the_work(
    yolo_set: Path, blobs: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("wilor_yolo.evaluate.detection.ask", None)  # nothing may be looked at
    file = yolo_set.parent / "a_file"
    file.touch()
    assert main(["evaluate", "detection", f"data={yolo_set}", f"out={file}"]) == 2
    assert "is a file; give another folder with out=" in capsys.readouterr().err


def test_the_shipped_set_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures = true_pictures("hand-sample.yaml")
    assert len(pictures) > 4 and all(picture.file.is_file() for picture in pictures)
    assert main(["data", "check", "source=hand-sample.yaml"]) == 0
    assert "no faults" in capsys.readouterr().out


def test_keypoints_of_label_files_count_as_those_of_detectors_do(yolo_set: Path) -> None:
    """A label in the middle of the picture is at (159.5, 119.5) for who counts pixels from 0."""
    for label in (yolo_set.parent / "labels" / "val").glob("*.txt"):
        label.write_text("1 0.5 0.5 0.25 0.5" + 21 * " 0.5 0.5 2")
    truth = true_pictures(str(yolo_set))[0].hands
    assert truth.keypoints is not None
    np.testing.assert_allclose(truth.keypoints, np.full((1, 21, 2), (159.5, 119.5)))
    np.testing.assert_allclose(truth.boxes, [[120, 60, 200, 180]])


def test_a_limit_is_spread_over_the_pictures(
    yolo_set: Path, tmp_path: Path, painter: Any, blobs: Any
) -> None:
    for name in "cde":
        cv2.imwrite(str(yolo_set.parent / "images" / "val" / f"{name}.png"), painter([]))
    keys = [f"data={yolo_set}", "seconds=0", f"out={tmp_path / 'run'}", "limit=3"]
    assert main(["evaluate", "detection", *keys]) == 0
    found = json.loads((tmp_path / "run" / "detections.json").read_text())["detections"]
    assert [Path(row["file"]).stem for row in found] == ["a", "b", "d"]


def test_some_sources_only() -> None:
    nothing = PictureHands(np.zeros((0, 4)), np.zeros(0, int))
    pictures = [TruePicture(Path(f"{i}.jpg"), source, nothing) for i, source in enumerate("abca")]
    chosen = of_sources(pictures, ["a", "c"])
    assert [picture.file.stem for picture in chosen] == ["0", "2", "3"]


def test_a_source_that_is_not_there(yolo_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [f"data={yolo_set}", "sources=data,date", "seconds=0"]
    assert main(["evaluate", "detection", *keys]) == 2
    assert "no source 'date'. Did you mean 'data'?" in capsys.readouterr().err


def test_a_shipped_detector_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    peer = open_peer("hand-s.pt")
    assert peer.name == "hand-s.pt" and peer.megabytes > 15


def test_any_yolo_set(yolo_set: Path) -> None:
    """A class `hand`, boxes alone: sides are unknown, keypoints too."""
    text = yolo_set.read_text().replace("  0: left\n  1: right\n", "  0: hand\n")
    yolo_set.write_text(text)
    for label in (yolo_set.parent / "labels" / "val").glob("*.txt"):
        label.write_text("0 0.5 0.5 0.25 0.5\n\n")
    first, second = true_pictures(str(yolo_set))
    assert first.hands.sides.tolist() == [UNKNOWN] and len(second.hands) == 1
    np.testing.assert_allclose(first.hands.boxes, [[120, 60, 200, 180]])
    assert first.hands.keypoints is not None and np.isnan(first.hands.keypoints).all()
    with pytest.raises(HandError, match="no pictures with known hands"):
        true_pictures(str(yolo_set), split="test")
    yolo_set.write_text("val: images/val\n")
    with pytest.raises(HandError, match="names no classes"):
        true_pictures(str(yolo_set))


def test_oxford_hands_beside_the_paper(
    tmp_path: Path, painter: Any, blobs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "test_dataset" / "test_data"
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "VOC_1.jpg"), painter(HANDS))
    boxes = np.empty((1, 2), object)
    for i, (_, x0, y0, x1, y1) in enumerate(HANDS):
        corners = ([y0, x0], [y0, x1], [y1, x1], [y1, x0])
        boxes[0, i] = dict(zip("abcd", np.array(corners, float)[:, None], strict=True))
    savemat(folder / "annotations" / "VOC_1.mat", {"boxes": boxes})
    keys = ["format=oxford-hands", f"data={tmp_path}", "seconds=0"]
    assert main(["evaluate", "detection", *keys]) == 0
    lines = rows(capsys.readouterr().out)
    assert lines[2][:5] == ["oxford_hands", "1", "2", "1.000", "1.000"]
    assert ["paper,", "M", "25", "138", "82.64", "48.98"] in lines
    assert lines[-1][0] == "hand-n.pt" and lines[-1][-2:] == ["100.00", "100.00"]


def test_coco_wholebody(
    tmp_path: Path, painter: Any, blobs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "1.jpg"), painter(HANDS))
    entry: dict[str, Any] = {"id": 1, "image_id": 1}
    for side, x0, y0, x1, y1 in HANDS:
        points = np.linspace((x0, y0, 1), (x1, y1, 1), 21)
        entry[f"{side}hand_kpts"] = points.ravel().tolist()
        entry[f"{side}hand_box"] = [x0, y0, x1 - x0, y1 - y0]
        entry[f"{side}hand_valid"] = True
    file = tmp_path / "coco.json"
    images = [{"id": 1, "file_name": "1.jpg", "width": 320, "height": 240}]
    file.write_text(json.dumps({"images": images, "annotations": [entry]}))
    (picture,) = true_pictures(str(file), "coco-wholebody", images=str(tmp_path))
    assert picture.hands.sides.tolist() == [LEFT, RIGHT] and picture.complete
    assert picture.hands.boxes[0].tolist() == [20, 30, 80, 110]  # as the set has them
    assert picture.hands.keypoints is not None
    assert picture.hands.keypoints[1, 20].tolist() == [289.5, 199.5]  # from pixel 0
    # A box is scored against however few of its keypoints are labelled.
    few = entry | {"lefthand_kpts": [5.0, 5, 2] + [0.0] * 60, "id": 2}
    file.write_text(json.dumps({"images": images, "annotations": [few]}))
    (picture,) = true_pictures(str(file), "coco-wholebody", images=str(tmp_path))
    assert picture.hands.sides.tolist() == [LEFT, RIGHT]
    # Part of a set is not the set: that is said, and the exit code tells.
    # The right hand beside the broken left one is not asked for alone.
    broken = entry | {"lefthand_kpts": [1.0], "image_id": 2}
    images.append(images[0] | {"id": 2, "file_name": "2.jpg"})
    file.write_text(json.dumps({"images": images, "annotations": [entry, broken]}))
    keys = [f"data={file}", "format=coco-wholebody", f"images={tmp_path}", "seconds=0"]
    assert main(["evaluate", "detection", *keys]) == 1
    captured = capsys.readouterr()
    assert "Not all of the set was measured" in captured.out and "1 broken samples" in captured.out
    assert "BAD" in captured.err and "cocow_2_1_left" in captured.err
    assert "1 left out: pictures with a hand that has no label" in captured.out
    assert rows(captured.out)[2][:4] == ["cocow", "1", "2", "1.000"]
    with pytest.raises(HandError, match="cocow_2_1_left"):
        true_pictures(str(file), "coco-wholebody", images=str(tmp_path))


def test_whim(tmp_path: Path, painter: Any) -> None:
    folder = tmp_path / "test" / "anno" / "video"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "3.jpg"), painter(HANDS))
    hands = np.empty(2, object)
    for i, (side, *box) in enumerate(HANDS):
        points = np.linspace(box[:2], box[2:], 21)
        hands[i] = {"bbox": np.array(box), "side": int(side == "right"), "joints_2d": points}
    hands[1]["joints_2d"] = np.zeros((21, 2))  # nowhere near its box
    np.save(folder / "3.npy", hands, allow_pickle=True)
    (picture,) = true_pictures(str(tmp_path), "whim")
    assert picture.hands.sides.tolist() == [LEFT, RIGHT]
    np.testing.assert_allclose(picture.hands.boxes, [hand[1:] for hand in HANDS])
    assert picture.hands.keypoints is not None
    assert picture.hands.keypoints[0, 20].tolist() == [79.5, 109.5]
    assert np.isnan(picture.hands.keypoints[1]).all()


def test_mediapipe_is_a_peer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from wilor_yolo.annotate import mediapipe_files, mediapipe_tflite

    def palm(view: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        regression, logits = np.zeros((2016, 18)), np.full((2016, 1), -50.0)
        regression[1000, 2:4] = 40.0
        regression[1000, 9] = -10.0  # the middle knuckle is above the wrist
        logits[1000] = -1.0  # a score of 0.27
        return regression, logits

    def landmark(view: np.ndarray) -> tuple[np.ndarray, float, float, np.ndarray]:
        points = np.linspace(50, 170, 63)
        return points, 0.4, 0.9, points

    for name in ("palm", "landmark"):
        (tmp_path / name).write_bytes(bytes(500_000))
    files = mediapipe_files.MediaPipeFiles(tmp_path / "palm", tmp_path / "landmark")
    monkeypatch.setattr(mediapipe_files, "find_files", lambda place: files)
    monkeypatch.setattr(mediapipe_tflite, "find_files", lambda place: files)
    monkeypatch.setattr(mediapipe_tflite, "_compile", lambda files, threads: (palm, landmark))
    peer = open_peer("mediapipe", mediapipe="folder")
    assert (peer.name, peer.megabytes, peer.parameters) == ("mediapipe", 1.0, None)
    image = np.zeros((192, 192, 3), np.uint8)
    found = peer.find(tmp_path / "a.jpg", image)
    assert found.sides.tolist() == [RIGHT]  # "left" in a selfie
    assert found.scores is not None and found.scores[0] == pytest.approx(0.4 / (1 + np.e))
    assert found.keypoints is not None and found.keypoints.shape == (1, 21, 2)
    # Below its own thresholds, so not what it would give in use.
    assert peer.work is not None and len(peer.work(tmp_path / "a.jpg", image)) == 0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["split=val"], "split= goes with a data YAML or format="),
        (["images=x"], "images= goes with format="),
        (["data={yaml}", "images=x"], "images= goes with format="),
        (["data={yaml}", "mediapipe=x.whl"], "mediapipe= goes with detector=mediapipe"),
        (["data={yaml}", "device=cuda:77"], "device=cuda:77: torch sees"),
    ],
)
def test_keys_that_would_do_nothing(
    keys: list[str], message: str, yolo_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [key.format(yaml=yolo_set) for key in keys]
    if not words[0].startswith("data="):
        words.append(f"data={yolo_set.parent}")
    assert main(["evaluate", "detection", "seconds=0", *words]) == 2
    assert message in capsys.readouterr().err


def test_an_absent_detector() -> None:
    with pytest.raises(HandError, match=r"absent\.pt"):
        open_peer("absent.pt")
    with pytest.raises(HandError, match=r"absent\.json"):
        open_peer("absent.json")
