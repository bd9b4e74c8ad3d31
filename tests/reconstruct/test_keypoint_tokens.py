from __future__ import annotations

import pytest
import torch
from torch import nn

from wilor_yolo.errors import HandError
from wilor_yolo.reconstruct.auxiliary import keypoint_map_losses
from wilor_yolo.reconstruct.batches import make_batch
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.frame import FeatureFrame
from wilor_yolo.reconstruct.keypoint_tokens import DEPTH_UNIT, KeypointTokens

SIZE, STRIDE, SIDE = (12, 9), 8, 96  # 72 of 96 columns are seen
FRAME = FeatureFrame.of_cells(SIDE, STRIDE, SIZE, (12.0, 0.0))


@pytest.fixture
def transparent() -> KeypointTokens:
    """Tokens whose heat map of joint j is channel j of the input, its depth channel 21 + j."""
    tokens = KeypointTokens(42, 16, SIZE, FRAME)
    tokens.body = nn.Identity()
    with torch.no_grad():
        tokens.maps.weight[:] = torch.eye(42)[..., None, None]
        tokens.maps.bias.zero_()
    return tokens


def test_points_are_where_the_maps_peak_in_crop_units(transparent: KeypointTokens) -> None:
    fine = torch.zeros(1, 42, *SIZE)
    row, column = 3, 7
    fine[0, 4, row, column] = 50
    fine[0, 21 + 4] = 0.3
    tokens, guess, evidence = transparent(fine)
    assert tokens.shape == (1, 21, 16) and guess.shape == (1, 3, 16)
    x, y = ((column + 0.5) * STRIDE + 12) / SIDE - 0.5, (row + 0.5) * STRIDE / SIDE - 0.5
    torch.testing.assert_close(evidence.points[0, 4], torch.tensor([x, y]))
    assert float(evidence.depths[0, 4].detach()) == pytest.approx(0.3 * DEPTH_UNIT, rel=1e-4)
    middle = torch.tensor([(12 + 36) / SIDE - 0.5, 0.0])  # an even map says the map's middle
    torch.testing.assert_close(evidence.points[0, 0], middle, atol=1e-6, rtol=0)


def test_between_two_cells(transparent: KeypointTokens) -> None:
    fine = torch.full((1, 42, *SIZE), -50.0)
    fine[0, 0, 5, 2], fine[0, 0, 5, 3] = 0.0, float(torch.log(torch.tensor(3.0)))
    x = float(transparent(fine)[2].points[0, 0, 0])
    assert x == pytest.approx(((2 + 0.75 + 0.5) * STRIDE + 12) / SIDE - 0.5, abs=1e-5)


def test_the_loss_of_the_maps_uses_the_same_places(transparent, make_hand) -> None:
    """Maps drawn at the true keypoints cost less than the same maps one cell off."""
    config = NetworkConfig(image_size=SIDE, visible=0.75, patch_size=8, dim=8, heads=2)
    targets = make_batch([make_hand("a", 1).encode()], config).targets
    cells = transparent.cells.view(*SIZE, 2)
    away = (cells[None] - targets.keypoints_2d[0, :, None, None, :2]) * SIDE / STRIDE
    fine = torch.zeros(1, 42, *SIZE)
    fine[0, :21] = -away.square().sum(-1) / 2
    evidence = transparent(fine)[2]
    right, _ = keypoint_map_losses(evidence.log_heat, evidence.depths, targets, FRAME)
    moved, _ = keypoint_map_losses(
        evidence.log_heat.roll(1, dims=-1), evidence.depths, targets, FRAME
    )
    assert float(right) == pytest.approx(0, abs=1e-4) and float(moved) > 0.2


def test_released_tokens_have_no_place_for_them() -> None:
    with pytest.raises(HandError, match="tokens=paper"):
        NetworkConfig(tokens="released", keypoints=True)
