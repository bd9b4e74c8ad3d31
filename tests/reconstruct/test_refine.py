"""Refinement: the sampler against bilinear interpolation by hand, and what is read where.

Where the sampled places lie in the crop is proved in test_trunk.py, through the whole pyramid.
"""

from __future__ import annotations

import pytest
import torch

from wilor_yolo.geometry import project_crop
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.frame import FeatureFrame
from wilor_yolo.reconstruct.refine import Refinement, aggregate, sample_aligned, sample_released

WHOLE = FeatureFrame(scale=(2.0, 2.0), shift=(0.0, 0.0))  # a map of the whole crop


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _bilinear(features, x, y):
    """The feature (C,) at cell coordinates x, y (centres at whole numbers) of a map (C, h, w)."""
    x0, y0 = int(x // 1), int(y // 1)
    fx, fy = x - x0, y - y0
    top = features[:, y0, x0] * (1 - fx) + features[:, y0, x0 + 1] * fx
    bottom = features[:, y0 + 1, x0] * (1 - fx) + features[:, y0 + 1, x0 + 1] * fx
    return top * (1 - fy) + bottom * fy


def test_aligned_samples_are_bilinear():
    features = _random(1, 5, 8, 6)
    points = torch.tensor([[0.1, -0.2], [-0.3, 0.35], [0.0, 0.0]])
    read = sample_aligned(features, WHOLE.grid(points)[None])[0]
    for point, feature in zip(points, read, strict=True):
        # Crop unit -0.5 is the outer edge of cell 0, 0.5 that of the last one.
        x, y = (point[0] + 0.5) * 6 - 0.5, (point[1] + 0.5) * 8 - 0.5
        assert torch.allclose(feature, _bilinear(features[0], x.item(), y.item()), atol=1e-5)


def test_aligned_samples_outside_read_the_border():
    features = _random(1, 5, 8, 6)
    grid = WHOLE.grid(torch.tensor([[[-3.0, -3.0], [9.0, 9.0], [-0.5, 2.0]]]))
    read = sample_aligned(features, grid)[0]
    for feature, (row, column) in zip(read, ((0, 0), (7, 5), (7, 0)), strict=True):
        assert torch.allclose(feature, features[0, :, row, column])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_move_the_places(dtype):
    ramp = torch.arange(48.0).expand(1, 1, 64, 48)
    points = torch.rand(1, 300, 2, generator=torch.Generator().manual_seed(0)) * 0.9 - 0.45
    read = sample_aligned(ramp.to(dtype), WHOLE.grid(points))[0, :, 0]
    wanted = (points[0, :, 0] + 0.5) * 48 - 0.5
    assert (read - wanted).abs().max() < 0.02  # cells; 0.1 px of the crop


def test_aligned_samples_have_gradients_to_places_and_features():
    features, points = _random(2, 3, 8, 6).requires_grad_(), _random(2, 9, 2) * 0.2
    points.requires_grad_()
    sample_aligned(features, WHOLE.grid(points)).square().sum().backward()
    assert features.grad.abs().sum() > 0 and (points.grad.abs().sum(-1) > 0).all()


@pytest.mark.parametrize("shape", [(16, 12), (32, 24), (64, 48)])
def test_released_sampling_reads_the_top_left_corner(shape):
    """Whatever the hand does: the projected crop units are taken for pixels of the map."""
    features = _random(4, 2, *shape).requires_grad_()
    vertices = _random(4, 778, 3) * 0.05
    cam = torch.tensor([[5.0, 0, 0], [5.0, 0.05, -0.05], [8.0, -0.03, 0.02], [3.0, 0.1, 0.1]])
    sample_released(features, vertices, cam).sum().backward()
    touched = features.grad.abs().sum((0, 1)) > 0
    assert touched[:2, :2].any() and not touched[2:].any() and not touched[:, 2:].any()


def test_aligned_sampling_reads_where_the_hand_is():
    features = torch.zeros(1, 1, 16, 16, requires_grad=True)
    vertices = _random(1, 778, 3) * 0.01
    cam = torch.tensor([[5.0, 0.05, -0.06]])  # a small hand, right of and above the middle
    projected = project_crop(vertices, cam)
    sample_aligned(features, WHOLE.grid(projected)).sum().backward()
    touched = (features.grad[0, 0] > 0).nonzero().float().mean(0)
    wanted = (projected[0].mean(0) + 0.5) * 16 - 0.5
    assert (touched.flip(0) - wanted).abs().max() < 0.5
    assert wanted[0] > 9 and wanted[1] < 6


def test_aggregation():
    sampled = torch.tensor([[[1.0, -2], [3, -8], [2, 4]]])
    assert aggregate(sampled, "max").tolist() == [[3, 4]]
    assert aggregate(sampled, "mean").tolist() == [[2, -2]]
    assert aggregate(sampled, "sum").tolist() == [[6, -6]]


def _refinement(**changes):
    config = NetworkConfig(dim=32, heads=2, **changes)
    torch.manual_seed(0)
    return Refinement(config, WHOLE).eval()


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_the_pyramid_doubles_and_halves(scales):
    maps = _refinement(scales=scales).pyramid(_random(2, 32, 4, 3))
    wanted = [(2, 16, 4, 3), (2, 8, 8, 6), (2, 4, 16, 12)][:scales]
    assert [tuple(m.shape) for m in maps] == wanted


def test_branches_share_nothing():
    branches = _refinement(scales=3).branches
    one, two = (set(map(id, branch.parameters())) for branch in branches)
    assert not one & two
    assert [len(branch) for branch in branches] == [1, 2]


def _arguments(batch=2):
    vertices = _random(batch, 778, 3) * 0.05
    cam = torch.tensor([[5.0, 0.0, 0.0]]).expand(batch, 3)
    return vertices, project_crop(vertices, cam), cam


def test_a_fresh_refinement_changes_nothing():
    refinement = _refinement()
    residuals = refinement(refinement.pyramid(_random(2, 32, 4, 3)), *_arguments())
    assert [tuple(r.shape) for r in residuals] == [(2, 96), (2, 10), (2, 3)]
    assert all((r == 0).all() for r in residuals)


def test_released_heads_are_single_layers_that_read_high_resolution_first():
    refinement = _refinement(tokens="released", sampling="released")
    assert isinstance(refinement.pose, torch.nn.Linear)
    maps = [torch.zeros(1, c, 4 << k, 3 << k) for k, c in enumerate((16, 8, 4))]
    maps[2] += 1.0  # the finest map
    with torch.no_grad():
        refinement.pose.bias.zero_()
        pose, _, _ = refinement(maps, *_arguments(1))
        wanted = refinement.pose.weight[:, :4].sum(1)
    assert torch.allclose(pose[0], wanted, atol=1e-5)


def test_camera_can_be_left_alone():
    torch.manual_seed(0)
    for refine_cam in (True, False):
        refinement = _refinement(refine_cam=refine_cam)
        for parameter in refinement.parameters():
            torch.nn.init.normal_(parameter)
        pose, _, cam = refinement(refinement.pyramid(_random(2, 32, 4, 3)), *_arguments())
        assert (pose != 0).any() and bool((cam != 0).any()) == refine_cam


def test_a_camera_left_alone_has_no_idle_parameters():
    """DDP refuses such; files still carry them."""
    refinement = _refinement(refine_cam=False)
    assert refinement.state_dict().keys() == _refinement().state_dict().keys()
    residuals = refinement(refinement.pyramid(_random(2, 32, 4, 3)), *_arguments())
    sum(r.sum() for r in residuals).backward()
    idle = [n for n, p in refinement.named_parameters() if p.requires_grad and p.grad is None]
    assert not idle


@pytest.mark.parametrize("sampling", ["aligned", "released"])
def test_heads_run_in_float32_under_autocast(sampling):
    refinement = _refinement(sampling=sampling)
    for parameter in refinement.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    vertices, projected, cam = _arguments()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        maps = refinement.pyramid(_random(2, 32, 4, 3))
        residuals = refinement(maps, vertices, projected, cam)
    assert {r.dtype for r in residuals} == {torch.float32}


def test_hands_outside_the_crop_give_finite_residuals():
    refinement = _refinement()
    for parameter in refinement.parameters():
        torch.nn.init.normal_(parameter)
    vertices, projected, cam = _arguments()
    for far in (50.0, -1e6):
        residuals = refinement(
            refinement.pyramid(_random(2, 32, 4, 3)), vertices, projected + far, cam
        )
        assert all(torch.isfinite(r).all() for r in residuals)
