"""A toy set of stick hands, drawn here, for the detector's tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from wilor_yolo.skeleton import EDGES, FINGER_COLOURS, FINGERS, LEFT, RIGHT


@dataclass(frozen=True)
class ToySet:
    """`yaml`: the data YAML. `images`: the training pictures."""

    yaml: Path
    images: tuple[Path, ...]

    @property
    def root(self) -> Path:
        return self.yaml.parent


def right_hand(rng: np.random.Generator) -> np.ndarray:
    """(21, 2): a right hand seen from its palm, thumb on the right, unit size."""
    points = [np.array([0.0, 0.5])]
    for finger, angle in enumerate(np.radians([-20, -70, -90, -110, -130])):
        reach = (0.45, 0.8, 0.9, 0.8, 0.65)[finger] * rng.uniform(0.8, 1.0)
        direction = np.array([np.cos(angle), np.sin(angle)])
        points += [points[0] + direction * reach * (k + 1) / 4 for k in range(4)]
    return np.array(points) - [0.0, 0.1]


def draw_hand(image: np.ndarray, points: np.ndarray) -> None:
    for edge, (a, b) in enumerate(EDGES):
        colour = FINGER_COLOURS[FINGERS[edge // 4]][::-1]
        start, end = (tuple(int(v) for v in points[i]) for i in (a, b))
        cv2.line(image, start, end, colour, 3)


def label_row(side: int, points: np.ndarray, width: int, height: int, known: bool = True) -> str:
    low, high = points.min(0) - 4, points.max(0) + 4
    size = np.array([width, height])
    low, high = np.clip(low / size, 0, 1), np.clip(high / size, 0, 1)
    values = [*((low + high) / 2), *(high - low)]
    for point in points / size:
        values += [*point, 2] if known else [0, 0, 0]
    return " ".join([str(side), *(f"{v:g}" for v in values)])


def write_toy_set(root: Path, train: int = 12, val: int = 4, unknown_every: int = 0) -> ToySet:
    """Pictures of 160x120 px with one or two hands; every `unknown_every`-th has class 2."""
    rng = np.random.default_rng(0)
    images = []
    count = 0
    for part, number in (("train", train), ("val", val)):
        (root / "images" / part).mkdir(parents=True)
        (root / "labels" / part).mkdir(parents=True)
        for index in range(number):
            image = np.full((120, 160, 3), rng.integers(0, 90), np.uint8)
            rows = []
            for centre in ((45, 60), (115, 60))[: rng.integers(1, 3)]:
                side = int(rng.integers(LEFT, RIGHT + 1))
                points = right_hand(rng) * [1 if side == RIGHT else -1, 1]
                points = points * rng.uniform(30, 45) + centre
                draw_hand(image, points)
                count += 1
                unknown = unknown_every and count % unknown_every == 0
                rows.append(label_row(2 if unknown else side, points, 160, 120, not unknown))
            file = root / "images" / part / f"{index:03d}.png"
            cv2.imwrite(str(file), image)
            (root / "labels" / part / f"{index:03d}.txt").write_text("\n".join(rows) + "\n")
            if part == "train":
                images.append(file)
    yaml = root / "data.yaml"
    yaml.write_text(
        f"path: {root}\ntrain: images/train\nval: images/val\nkpt_shape: [21, 3]\nnc: 2\n"
        "names: {0: left, 1: right}\n"
    )
    return ToySet(yaml, tuple(images))


@pytest.fixture(scope="session")
def toy_set(tmp_path_factory: pytest.TempPathFactory) -> ToySet:
    """Sides known."""
    return write_toy_set(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def toy_set_unknown(tmp_path_factory: pytest.TempPathFactory) -> ToySet:
    """Every third hand has no side and no keypoints."""
    return write_toy_set(tmp_path_factory.mktemp("toy_unknown"), unknown_every=3)


@pytest.fixture
def own_toy_set(tmp_path: Path) -> ToySet:
    """A set that a test may spoil."""
    return write_toy_set(tmp_path / "set")


@pytest.fixture(scope="session")
def trained(toy_set_unknown: ToySet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of a tiny YOLO11 training with our own options away from their defaults."""
    from wilor_yolo.detect.model import HandDetector

    runs = tmp_path_factory.mktemp("runs")
    HandDetector("yolo11n-hand-pose.yaml").train(
        data=str(toy_set_unknown.yaml),
        keypoint_loss="oks",
        mask_prob=0.7,
        tighten_boxes=False,
        **TOY_SETTINGS,
        project=str(runs),
        name="toy",
    )
    return runs / "toy"


TOY_SETTINGS = {
    "epochs": 2,
    "close_mosaic": 1,
    "imgsz": 96,
    "batch": 4,
    "nbs": 4,
    "workers": 0,
    "plots": False,
    "verbose": False,
    "device": "cpu",
    "optimizer": "AdamW",
    "lr0": 0.001,
}


@pytest.fixture
def toy_settings() -> dict[str, object]:
    """Training arguments that keep a toy training to some seconds."""
    return dict(TOY_SETTINGS)
