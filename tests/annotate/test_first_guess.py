from __future__ import annotations

import numpy as np
import pytest
import torch

from wilor_yolo.annotate.first_guess import axis_to_ray, guess, make_templates
from wilor_yolo.annotate.mesh_prior import load_mesh_prior
from wilor_yolo.mano.layer import HandLayer


def test_axis_to_ray_carries_the_axis_to_the_ray() -> None:
    K = torch.tensor([[500.0, 0, 320], [0, 400.0, 240], [0, 0, 1]])
    pixels = torch.tensor([[320.0, 240.0], [900.0, 20.0], [-300.0, 600.0]])
    rotation = axis_to_ray(pixels, K)
    rays = torch.stack(
        ((pixels[:, 0] - 320) / 500, (pixels[:, 1] - 240) / 400, torch.ones(3)), dim=1
    )
    rays = rays / rays.norm(dim=1, keepdim=True)
    assert torch.allclose(rotation[:, :, 2], rays, atol=1e-6)
    assert torch.allclose(
        rotation @ rotation.transpose(1, 2), torch.eye(3).expand(3, 3, 3), atol=1e-6
    )
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(3), atol=1e-5)


def test_a_turned_scaled_moved_template_is_found_again() -> None:
    templates = make_templates(HandLayer.free(), load_mesh_prior())
    assert torch.allclose(torch.linalg.det(templates.rotations[:96]), torch.ones(96), atol=1e-5)
    K = torch.tensor([[[800.0, 0, 320], [0, 800.0, 240], [0, 0, 1]]])
    angle = torch.tensor(0.7)
    turn = torch.stack(
        (torch.stack((angle.cos(), -angle.sin())), torch.stack((angle.sin(), angle.cos())))
    )
    index = 1234
    points = (1600 * templates.points[index] @ turn.T + torch.tensor([320.0, 240.0]))[None]
    start = guess(templates, points, torch.ones(1, 21), K, 3)
    assert start.poses[0, 0].tolist() == templates.poses[index].tolist()
    # 1600 px a metre at f = 800 px: half a metre away, the wrist in the middle.
    assert start.wrist[0, 0].tolist() == pytest.approx([320, 240, 0.5], abs=1e-2)
    expected = torch.eye(3)
    expected[:2, :2] = turn
    assert torch.allclose(start.rotations[0, 0], expected @ templates.rotations[index], atol=1e-4)
    # The other starts look from elsewhere.
    for other in (1, 2):
        trace = (start.rotations[0, 0] * start.rotations[0, other]).sum()
        assert np.degrees(np.arccos(((trace - 1) / 2).clamp(-1, 1))) > 30
