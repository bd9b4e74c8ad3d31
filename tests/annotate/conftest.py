"""A detector that finds painted squares, and small videos of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from wilor_yolo.annotate.candidates import HandCandidates
from wilor_yolo.skeleton import LEFT, RIGHT


class SquareFinder:
    """Finds blue squares as left and red ones as right hands, with 21 points on each."""

    def __init__(self, name: str = "squares", confidence: float = 0.8) -> None:
        self.name, self.confidence = name, confidence

    def __call__(self, image: np.ndarray) -> HandCandidates:
        boxes, sides = [], []
        for side, channel in ((LEFT, 0), (RIGHT, 2)):
            mask = (image[..., channel] > 180) & (image.min(-1) < 80)
            count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
            for x, y, w, h, area in stats[1:count]:
                if area > 60:
                    boxes.append((x, y, x + w, y + h))
                    sides.append(side)
        if not boxes:
            return HandCandidates.none()
        array = np.array(boxes, float)
        share = np.linspace(0.1, 0.9, 21)
        points = np.ones((len(boxes), 21, 3))
        points[..., 0] = array[:, :1] + share * (array[:, 2:3] - array[:, :1])
        points[..., 1] = array[:, 1:2] + share**2 * (array[:, 3:] - array[:, 1:2])
        scores = np.full(len(boxes), self.confidence)
        return HandCandidates(array, scores, np.array(sides), keypoints=points)


def picture(hands: list[tuple[str, int, int, int]], seed: int = 0) -> np.ndarray:
    """A grey picture (120 x 160) with squares (side, x, y, size)."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(85, 175, (6, 8, 1), np.uint8)
    image = cv2.resize(noise, (160, 120), interpolation=cv2.INTER_NEAREST)
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    for side, x, y, size in hands:
        image[y : y + size, x : x + size] = (255, 0, 0) if side == "left" else (0, 0, 255)
    return image


def make_clip(path: Path, frames: list[np.ndarray], fps: float = 10) -> Path:
    size = frames[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture()
def clip(tmp_path: Path) -> Path:
    """Three seconds at 10 frames a second: a right hand that wanders, and a left one at the end."""
    frames = []
    for i in range(30):
        hands = [("right", 10 + 2 * i, 20, 40)]
        frames.append(picture(hands + ([("left", 100, 70, 36)] if i >= 20 else []), seed=i))
    folder = tmp_path / "videos"
    folder.mkdir()
    return make_clip(folder / "clip.avi", frames)


@pytest.fixture()
def square_finder() -> type[SquareFinder]:
    return SquareFinder


@pytest.fixture()
def painted():
    return picture


@pytest.fixture()
def write_clip():
    return make_clip
