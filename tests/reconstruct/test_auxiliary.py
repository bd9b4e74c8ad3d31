from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.reconstruct.auxiliary import AidedNetwork, KeypointMaps, keypoint_map_losses
from wilor_yolo.reconstruct.batches import make_batch
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.frame import FeatureFrame
from wilor_yolo.reconstruct.network import HandNetwork

WHOLE = FeatureFrame(scale=(2.0, 2.0), shift=(0.0, 0.0))  # the map covers the crop exactly
CONFIG = NetworkConfig(image_size=64, visible=1.0, dim=32, depth=1, heads=2, box_scale=1.5)


@pytest.fixture
def targets(make_hand):
    return make_batch([make_hand("a", 1).encode(), make_hand("b", 2).encode()], CONFIG).targets


def _perfect(targets, cells=16, confident=1.0):
    """Log heat maps with a bump of the right width at every keypoint."""
    cell = (targets.keypoints_2d[..., :2] + 0.5) * cells - 0.5
    steps = torch.arange(cells)
    across = (steps - cell[..., 0, None]).square()[..., None, :]
    down = (steps - cell[..., 1, None]).square()[..., None]
    heat = (-(across + down) / 2 * confident).flatten(2).log_softmax(-1)
    return heat.view(2, 21, cells, cells)


def test_perfect_maps_cost_nothing_and_moved_ones_do(targets):
    depths = targets.joints_3d[..., 2]
    heat, depth = keypoint_map_losses(_perfect(targets), depths, targets, WHOLE)
    assert float(heat) == pytest.approx(0, abs=1e-5) and float(depth) == 0
    moved = _perfect(targets).roll(2, dims=-1)
    assert float(keypoint_map_losses(moved, depths, targets, WHOLE)[0]) > 1
    _, depth = keypoint_map_losses(moved, depths + 0.01, targets, WHOLE)
    assert float(depth) == pytest.approx(0.01)


def test_unknown_and_outside_keypoints_do_not_count(targets):
    wrong = _perfect(targets).roll(5, dims=-2)
    full, _ = keypoint_map_losses(wrong, torch.zeros(2, 21), targets, WHOLE)
    points = targets.keypoints_2d.clone()
    points[0, :, 2] = 0
    points[1, 3:, 0] += 2.0  # outside the crop
    less = replace(targets, keypoints_2d=points, joints_3d_weight=torch.zeros(2))
    heat, depth = keypoint_map_losses(wrong, torch.ones(2, 21), less, WHOLE)
    assert 0 < float(heat) < 0.2 * float(full) and float(depth) == 0


def test_depth_is_read_under_the_heat_map():
    maps = KeypointMaps(8, 8)
    log_heat, depths = maps(torch.randn(3, 8, 4, 4))
    assert log_heat.shape == (3, 21, 16, 16) and depths.shape == (3, 21)
    torch.testing.assert_close(log_heat.exp().sum((-1, -2)), torch.ones(3, 21))


def test_gradients_reach_the_trunk_and_the_network_stays_itself(targets):
    network = HandNetwork(CONFIG, load_hand_model())
    names = set(network.state_dict())
    aided = AidedNetwork(network, KeypointMaps(CONFIG.dim, 8))
    crops = torch.randn(2, 3, 64, 64)
    _, log_heat, depths = aided(crops)
    heat, depth = keypoint_map_losses(log_heat, depths, targets, network.trunk.frame)
    (heat + depth).backward()
    assert network.trunk.stem.proj.weight.grad.abs().sum() > 0
    assert network.pose_head[0].weight.grad is None
    assert set(network.state_dict()) == names
    aided.eval()
    with pytest.raises(RuntimeError, match="training mode"):
        aided(crops)
    assert network(crops).vertices.shape == (2, 778, 3)


def test_the_aid_learns(targets):
    torch.manual_seed(0)
    maps = KeypointMaps(16, 32)
    features = torch.randn(2, 16, 4, 4)
    optimiser = torch.optim.Adam(maps.parameters(), 3e-3)
    seen = []
    for _ in range(200):
        heat, depth = keypoint_map_losses(*maps(features), targets, WHOLE)
        seen.append((heat.item(), depth.item()))
        optimiser.zero_grad()
        (heat + 20 * depth).backward()
        optimiser.step()
    assert seen[-1][0] < 0.1 * seen[0][0] and seen[-1][1] < 0.6 * seen[0][1]
