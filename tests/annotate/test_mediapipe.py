"""MediaPipe's files and the geometry around its networks; the networks are stood in for."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from wilor_yolo.annotate import mediapipe_files, mediapipe_tflite
from wilor_yolo.annotate.mediapipe_files import find_files
from wilor_yolo.annotate.mediapipe_tflite import MediaPipeFinder
from wilor_yolo.annotate.palm_boxes import anchor_centres
from wilor_yolo.errors import WeightsError
from wilor_yolo.skeleton import LEFT, RIGHT


def test_missing_files_say_how_to_get_them(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"pip download .*mediapipe==0\.10\.21"):
        find_files()
    with pytest.raises(WeightsError, match="does not exist"):
        find_files(tmp_path / "mediapipe.whl")
    broken = tmp_path / "broken.whl"
    broken.write_bytes(b"no archive")
    with pytest.raises(WeightsError, match="no wheel"):
        find_files(broken)


def test_files_of_the_wheel_go_to_the_cache(tmp_path: Path, monkeypatch) -> None:
    import hashlib

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    contents = {name: name.encode() for name in mediapipe_files._IN_WHEEL}
    wheel = tmp_path / "mediapipe-0.10.21-cp311.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, inside in mediapipe_files._IN_WHEEL.items():
            archive.writestr(inside, contents[name])
    with pytest.raises(WeightsError, match=r"not the file of mediapipe 0\.10\.21"):
        find_files(wheel)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    monkeypatch.setattr(mediapipe_files, "_SHA256", sums)
    found = find_files(tmp_path)  # the folder with the wheel in it
    assert found.palm.read_bytes() == b"palm_detection_full.tflite"
    assert find_files() == found  # now without the wheel
    found.landmark.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="not the file"):
        find_files()


@pytest.fixture()
def finder(monkeypatch) -> MediaPipeFinder:
    """Stand-ins: the palm is where the picture is red, its fingers to the right; the landmark
    network reports where in its own view the picture is green, and "left" as if in a mirror."""

    def palm(view: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        regression, logits = np.zeros((2016, 18)), np.full((2016, 1), -50.0)
        y, x = np.nonzero(view[0, ..., 0] > 0.6)
        if len(x):
            box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], float)
            middle = (box[:2] + box[2:]) / 2
            i = np.linalg.norm(anchor_centres() - middle, axis=1).argmin()
            off = middle - anchor_centres()[i]
            regression[i, :4] = *off, *(box[2:] - box[:2])
            regression[i, 4:].reshape(7, 2)[:] = off
            regression[i, 8] += 10  # the middle knuckle is to the right of the wrist
            logits[i] = 3.0
        return regression, logits

    def landmark(view: np.ndarray) -> tuple[np.ndarray, float, float, np.ndarray]:
        y, x = np.nonzero(view[0, ..., 1] > 0.6)
        points = np.zeros((21, 3))
        points[:, 0], points[:, 1] = x.mean() + 0.5, y.mean() + 0.5
        points[::2, :2] += 4
        world = points / 1000
        world[:, 2] = 0.03
        return points.ravel(), 0.9, 0.95, world.ravel()

    monkeypatch.setattr(mediapipe_tflite, "find_files", lambda place: place)
    monkeypatch.setattr(mediapipe_tflite, "_compile", lambda files, threads: (palm, landmark))
    return MediaPipeFinder()


@pytest.mark.parametrize(("size", "at"), [((640, 480), (300, 200)), ((300, 900), (120, 700))])
def test_the_way_to_the_views_and_back(
    finder: MediaPipeFinder, size: tuple[int, int], at: tuple[int, int]
) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = at
    cv2.rectangle(image, (x - 30, y - 30), (x + 30, y + 30), (0, 0, 255), -1)
    green = (x + 40, y + 5)  # towards the fingers
    cv2.rectangle(
        image, (green[0] - 4, green[1] - 4), (green[0] + 4, green[1] + 4), (0, 255, 0), -1
    )
    found = finder(image)
    assert len(found) == 1 and found.keypoints is not None
    assert found.keypoints[0, 1, :2] == pytest.approx(green, abs=2.0)
    # 4 px right and down in the view, which is turned by 90 degrees: down and left here.
    step = found.keypoints[0, 0, :2] - found.keypoints[0, 1, :2]
    assert step[0] == pytest.approx(-step[1], rel=0.1) and step[1] > 0
    # The guess in 3D is turned with it, but keeps its size.
    assert found.joints_3d is not None
    joints = found.joints_3d[0, 0] - found.joints_3d[0, 1]
    assert joints == pytest.approx([-0.004, 0.004, 0], abs=4e-4)
    assert found.sides is not None and found.sides.tolist() == [RIGHT]  # "left" means right


def test_nothing_there(finder: MediaPipeFinder) -> None:
    assert len(finder(np.zeros((48, 64, 3), np.uint8))) == 0


def test_sides_are_real(finder: MediaPipeFinder, monkeypatch) -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    image[80:120, 80:120, 2] = 255
    points = np.tile(np.arange(21.0)[:, None] + 50, (1, 3)).ravel()
    monkeypatch.setattr(finder, "_landmark", lambda view: (points, 0.8, 0.1, points))
    found = finder(image)
    assert found.sides is not None and found.sides.tolist() == [LEFT]
    assert found.side_confidence is not None
    assert found.side_confidence[0] == pytest.approx(0.8 * 0.8)
    monkeypatch.setattr(finder, "_landmark", lambda view: (points, 0.3, 0.1, points))
    assert len(finder(image)) == 0  # the landmark network sees no hand there
