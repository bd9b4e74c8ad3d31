from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ultralytics.nn.tasks import PoseModel

from wilor_yolo.detect import widen
from wilor_yolo.detect.model import HandDetector
from wilor_yolo.detect.presets import read_model_yaml
from wilor_yolo.detect.working_point import IMAGE_SIZE
from wilor_yolo.errors import WeightsError
from wilor_yolo.weights_dir import shipped


@pytest.fixture(scope="module")
def small() -> PoseModel:
    model = HandDetector(shipped("hand-n.pt")).model.float().eval()
    assert isinstance(model, PoseModel)
    return model


@pytest.fixture
def large() -> PoseModel:
    return PoseModel(read_model_yaml("yolo11s-hand-pose.yaml"), verbose=False).eval()


def test_the_larger_detector_computes_the_same_and_can_grow_apart(
    small: PoseModel, large: PoseModel
) -> None:
    pictures = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert not torch.allclose(small(pictures)[0], large(pictures)[0], atol=1.0)
    widen.widen_model(small, large, torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(small(pictures)[0], large(pictures)[0], rtol=1e-4, atol=1e-3)
    weight = large.get_parameter("model.1.conv.weight")
    assert weight.shape[1] == 2 * small.get_parameter("model.1.conv.weight").shape[1]
    first, second = weight[0::2], weight[1::2]  # copies of the same channels
    assert (first - second).abs().max() > 0.01 * weight.abs().max()


def test_whole_heads_are_copied(
    small: PoseModel, large: PoseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would go wrong otherwise is caught."""
    monkeypatch.setattr(widen, "_head_orders", lambda *_: {})
    with pytest.raises(WeightsError, match="does not compute what the smaller one does"):
        widen.widen_model(small, large, torch.Generator())


def test_file(tmp_path: Path) -> None:
    target = tmp_path / "start.pt"
    source = shipped("hand-n.pt")
    widen.widen_checkpoint(source, target, "yolo11s-hand-pose.yaml")
    detector = HandDetector(target)
    assert detector.names == {0: "left", 1: "right"}
    assert detector.model.yaml["hand"] == HandDetector(source).model.yaml["hand"]
    assert detector.overrides["imgsz"] == IMAGE_SIZE  # the small one's own


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("yolo11m-hand-pose.yaml", "other layers"),
        ("yolov8s-hand-pose.yaml", "other layers"),
        ("yolo12x.yaml", r"yolo12x\.yaml"),
    ],
)
def test_what_cannot_be_widened(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        widen.widen_checkpoint(shipped("hand-n.pt"), tmp_path / "x.pt", name)
    assert not list(tmp_path.iterdir())
