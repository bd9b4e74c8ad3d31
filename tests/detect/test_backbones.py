from __future__ import annotations

import pytest
import torch

from wilor_yolo.detect.model import HandDetector

BACKBONES = ["resnet50-hand-pose.yaml", "hrnet-hand-pose.yaml"]


@pytest.mark.parametrize("name", BACKBONES)
def test_strides_and_a_checkpoint_that_opens_restricted(name: str, tmp_path) -> None:
    detector = HandDetector(name)
    assert detector.model.stride.tolist() == [8, 16, 32]
    detector.save(tmp_path / "backbone.pt")
    again = HandDetector(tmp_path / "backbone.pt")
    picture = torch.zeros(1, 3, 64, 64)
    detector.model.eval(), again.model.eval()
    with torch.no_grad():
        first, second = detector.model(picture)[0], again.model(picture)[0]
    torch.testing.assert_close(first, second, atol=0.2, rtol=0.05)  # the file is fp16


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_trains(name: str, toy_set, toy_settings, tmp_path) -> None:
    toy_settings |= {"epochs": 1, "val": False, "project": str(tmp_path), "name": "backbone"}
    detector = HandDetector(name)
    detector.train(data=str(toy_set.yaml), **toy_settings)
    assert detector.model.yaml["hand"]["keypoint_loss"] == "l2"
