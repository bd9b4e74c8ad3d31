"""Sets of whole pictures with boxes: Oxford Hands, EgoHands, Ultralytics' hand-keypoints.

The layouts are those that public scripts read; nobody here has seen a file of the first two.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from wilor_yolo.data.detection_formats import read_pictures
from wilor_yolo.data.formats import SetOptions
from wilor_yolo.data.raw_hand import ReadReport
from wilor_yolo.detect.sides import UNKNOWN_SIDE
from wilor_yolo.errors import HandError
from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.yaml_files import read_yaml

WIDTH, HEIGHT = 160, 120


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    cv2.imwrite(str(path), pixels)


def cells(boxes: list[np.ndarray]) -> np.ndarray:
    """MATLAB's cell array of structs with the corners a, b, c, d, each (y, x)."""
    content = np.empty((1, len(boxes)), object)
    for i, corners in enumerate(boxes):
        content[0, i] = dict(zip("abcd", (corner[None] for corner in corners), strict=True))
    return content


TURNED = np.array([[30.0, 40], [50, 80], [70, 70], [50, 30]])  # y, x


@pytest.mark.parametrize("middle", ["training_data", ""])
def test_oxford_hands(tmp_path, detector_set, middle):
    folder = tmp_path / "training_dataset" / middle
    (folder / "annotations").mkdir(parents=True)
    upright = np.array([[5.0, 100], [5, 150], [40, 150], [40, 100]])
    for number, boxes in enumerate(([TURNED, upright], [TURNED], [])):
        picture(folder / "images" / f"VOC_{number}.jpg", number)
        savemat(folder / "annotations" / f"VOC_{number}.mat", {"boxes": cells(boxes)})
    report, pictures = detector_set(SetOptions("oxford-hands", str(tmp_path)))
    (first, second), (only,), nothing = [labels for _, labels in pictures]
    assert report.hands == {"oxford_hands, side unknown": 3} and nothing == ()
    assert {hand.side for hand in (first, second, only)} == {UNKNOWN_SIDE}
    np.testing.assert_allclose(first.box, [30, 30, 80, 70], atol=0.01)
    np.testing.assert_allclose(second.box, [100, 5, 150, 40], atol=0.01)
    np.testing.assert_allclose(only.box, first.box)
    assert first.keypoints is None


def test_oxford_hands_names_what_is_broken(tmp_path, detector_set):
    folder = tmp_path / "test_dataset" / "test_data"
    (folder / "annotations").mkdir(parents=True)
    for number in range(3):
        picture(folder / "images" / f"{number}.jpg", number)
    savemat(folder / "annotations" / "0.mat", {"boxes": cells([TURNED])})
    (folder / "annotations" / "1.mat").write_bytes(b"no MATLAB file" * 20)
    savemat(folder / "annotations" / "2.mat", {"polygons": [1.0]})
    savemat(folder / "annotations" / "3.mat", {"boxes": cells([TURNED])})  # without a picture
    savemat(folder / "annotations" / "4.mat", {"boxes": cells([TURNED * np.nan])})
    options = SetOptions("oxford-hands", str(tmp_path), "test")
    report, pictures = detector_set(options, strict=False)
    assert len(pictures) == 1
    for name, message in enumerate(("is damaged", "no variable boxes", "no picture", "NaN"), 1):
        assert f"{name}.mat" in report.faults[name - 1] and message in report.faults[name - 1]
    with pytest.raises(HandError, match=r"1\.mat"):
        list(read_pictures(options, ReadReport(strict=True)))
    with pytest.raises(HandError, match=r"validation_data/annotations is no folder"):
        list(read_pictures(SetOptions("oxford-hands", str(tmp_path), "val"), ReadReport()))


def outlines(frames: list[dict[str, np.ndarray]]) -> np.ndarray:
    """EgoHands' array of structs, a hand that is not seen being empty."""
    names = ("myleft", "myright", "yourleft", "yourright")
    content = np.zeros((1, len(frames)), [(name, object) for name in names])
    for i, frame in enumerate(frames):
        for name in names:
            content[name][0, i] = frame.get(name, np.zeros((0, 0)))
    return content


def test_egohands(tmp_path, detector_set):
    triangle = np.array([[10.0, 20], [60, 30], [30, 70]])  # x, y
    frames = [
        {"myright": triangle, "yourleft": triangle + np.array([80, 40])},
        {"myleft": triangle},
        {},
    ]
    root = tmp_path / "_LABELLED_SAMPLES"
    for video in range(6):
        for frame in range(3):
            picture(root / f"CARDS_{video}" / f"frame_{7 * frame:04d}.jpg", 10 * video + frame)
        savemat(root / f"CARDS_{video}" / "polygons.mat", {"polygons": outlines(frames)})
    (root / "CARDS_1" / "frame_0000.jpg").unlink()
    report, pictures = detector_set(SetOptions("egohands", str(tmp_path)), strict=False)
    assert "CARDS_1/polygons.mat: 3 outlines for 2 pictures" in report.faults[0]
    assert report.fault_count == 1 and report.pictures == 12  # the sixth video is held out
    labels = [labels for _, labels in pictures][:3]
    assert [[hand.side for hand in hands] for hands in labels] == [[RIGHT, LEFT], [LEFT], []]
    np.testing.assert_allclose(labels[0][0].box, [10, 20, 60, 70], atol=0.01)
    np.testing.assert_allclose(labels[0][1].box, [90, 60, 140, 110], atol=0.01)
    report, pictures = detector_set(SetOptions("egohands", str(root), "test"))
    assert report.pictures == 3
    with pytest.raises(HandError, match="egohands has train, test"):
        read_pictures(SetOptions("egohands", str(root), "val"), ReadReport())


def test_ultralytics_hands(tmp_path, detector_set):
    rng = np.random.default_rng(0)
    points = rng.uniform(0.2, 0.6, (21, 2))
    points[4] = [1.02, 0.5]  # their keypoints may lie outside, and are marked as seen
    line = "0 0.5 0.5 0.7 0.6 " + " ".join(f"{x:.5f} {y:.5f} 2" for x, y in points)
    for part in ("train", "val"):
        picture(tmp_path / "images" / part / "IMG_1.jpg", len(part))
        (tmp_path / "labels" / part).mkdir(parents=True)
        (tmp_path / "labels" / part / "IMG_1.txt").write_text(line + "\n")
    _, ((_, (hand,)),) = detector_set(SetOptions("ultralytics-hands", str(tmp_path)))
    assert hand.side == UNKNOWN_SIDE
    np.testing.assert_allclose(hand.box, [24, 24, 136, 96], atol=0.01)
    # The order is kept, finger by finger, and what lies outside is unknown.
    assert hand.keypoints[4].tolist() == [0, 0, 0]
    others = np.arange(21) != 4
    np.testing.assert_allclose(
        hand.keypoints[others, :2], points[others] * (WIDTH, HEIGHT), atol=0.01
    )
    detector_set(SetOptions("ultralytics-hands", str(tmp_path), "val"))
    written = read_yaml(tmp_path / "yolo" / "data.yaml")
    assert "flip_idx" not in written  # theirs swaps fingers
    assert (written["train"], written["val"]) == ("images/train", "images/val")
    (tmp_path / "labels" / "train" / "IMG_1.txt").write_text("1 0.5 0.5 0.7 0.6\n")
    with pytest.raises(HandError, match=r"IMG_1\.txt:1: class 1; known are 0"):
        list(read_pictures(SetOptions("ultralytics-hands", str(tmp_path)), ReadReport(True)))


def test_what_cannot_be_whole_pictures(tmp_path):
    with pytest.raises(HandError, match="hamer-tars cannot be read as whole pictures"):
        read_pictures(SetOptions("hamer-tars", str(tmp_path)), ReadReport())
