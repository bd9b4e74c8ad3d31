"""The body holds what Ultralytics computes from the same file, and lies where it says."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from wilor_yolo.detect.model import HandDetector
from wilor_yolo.reconstruct.yolo_body import YOLO_WIDTHS, YoloBody


def lively(module: nn.Module) -> nn.Module:
    """Batch statistics that matter, so that a mix-up of layers shows."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.3, 0.3)
            part.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(part.weight, 0.7, 1.3)
            nn.init.uniform_(part.bias, -0.3, 0.3)
    return module.eval()


@pytest.mark.parametrize("name", YOLO_WIDTHS)
def test_maps_equal_those_of_the_detector(name: str) -> None:
    detector = lively(HandDetector(f"{name}-hand-pose.yaml").model)
    body = YoloBody(name).eval()
    state = {k: v for k, v in detector.state_dict().items() if k in body.state_dict()}
    assert len(state) == len(body.state_dict())
    body.load_state_dict(state)
    seen: dict[int, torch.Tensor] = {}
    for number in (16, 19):
        detector.model[number].register_forward_hook(
            lambda module, inputs, output, number=number: seen.update({number: output})
        )
    images = torch.rand(2, 3, 96, 64)
    with torch.inference_mode():
        detector(images)
        fine, tokens = body(images)
    assert fine.shape == (2, body.channels[0], 12, 8) and tokens.shape[1:] == (
        body.channels[1], 6, 4,
    )  # fmt: skip
    torch.testing.assert_close(fine, seen[16], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(tokens, seen[19], rtol=1e-4, atol=1e-4)
