"""The released WiLoR detector: a YOLOv8m-pose of two classes, saved by Ultralytics 8.1.

The file is made here: same layers, and what that Ultralytics pickled beside them.
"""

from __future__ import annotations

import hashlib
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from ultralytics.nn.modules import Detect
from ultralytics.nn.tasks import PoseModel
from ultralytics.utils import IterableSimpleNamespace
from ultralytics.utils.loss import v8PoseLoss

from wilor_yolo.detect.model import HandDetector
from wilor_yolo.detect.presets import read_model_yaml
from wilor_yolo.detect.restricted import read_restricted
from wilor_yolo.errors import WeightsError

# SHA-256 over "name<tab>shape" lines of the released state dict, sorted.
SHAPES = "7dea8accf9efb998668330a6eb30e26f56aa47c469c63a15b196a9b203742d32"
ARGS = {"task": "pose", "data": "/somewhere/hands.yaml", "imgsz": 512, "single_cls": False}
GAINS = {"box": 7.5, "cls": 0.5, "dfl": 1.5, "pose": 12.0, "kobj": 1.0, "overlap_mask": True}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    definition = read_model_yaml("yolov8m-hand-pose.yaml")
    del definition["hand"]
    model = PoseModel(definition, verbose=False)
    model.names = {0: "left", 1: "right"}
    model.args = IterableSimpleNamespace(**ARGS, **GAINS)
    model.criterion = v8PoseLoss(model)  # its strip_optimizer left the loss in the file
    model.model[-1].detect = Detect.forward  # an attribute of the head then; pickled by getattr
    model = deepcopy(model).half()
    path = tmp_path_factory.mktemp("released") / "detector.pt"
    checkpoint = {
        "epoch": -1,
        "best_fitness": None,
        "model": model,
        "ema": None,
        "updates": None,
        "optimizer": None,
        "train_args": {**ARGS, "save_dir": Path("runs/pose/train"), "model": "yolov8m-pose.pt"},
        "train_metrics": {"fitness": np.float64(0.5)},
        "train_results": {"epoch": [1, 2]},
        "date": "2024-05-01T00:00:00",
        "version": "8.1.34",
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
    }
    torch.save(checkpoint, path)
    return path


def test_layout_is_the_released_one(released: Path) -> None:
    state = read_restricted(released)["model"].state_dict()
    lines = sorted(f"{name}\t{tuple(value.shape)}" for name, value in state.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == SHAPES


def test_loads_restricted_and_finds(released: Path) -> None:
    detector = HandDetector(released)
    assert detector.names == {0: "left", 1: "right"} and type(detector.model) is PoseModel
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    result = detector.predict(picture, conf=1e-9, max_det=3, verbose=False)[0]
    assert len(result) == 3 and result.keypoints.data.shape[1:] == (21, 3)
    assert detector.predictor.args.imgsz == 512  # what it was trained at
    assert detector.predictor.args.agnostic_nms is True


def test_the_same_file_with_code_in_it_is_refused(released: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(released, weights_only=False)
    checkpoint["model"].model[-1].detect = exec
    torch.save(checkpoint, tmp_path / "detector.pt")
    with pytest.raises(WeightsError, match="was refused"):
        HandDetector(tmp_path / "detector.pt")


def test_it_can_be_trained_on(released: Path) -> None:
    """It has no `hand:` block: our defaults."""
    from wilor_yolo.detect.options import HandOptions

    assert HandOptions.from_model_yaml(HandDetector(released).model.yaml) == HandOptions()
