"""Where to start a fit: typical poses seen from everywhere, compared with the landmarks.

A single view of 21 landmarks has several valleys (a palm tilted towards the camera looks like one
tilted away), so each hand gets several starts that differ from each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..mano.layer import HandLayer
from .mesh_prior import HandPrior

__all__ = ["Start", "Templates", "axis_to_ray", "guess", "make_templates"]

_VIEWS = 96
_APART = np.deg2rad(40)  # starts of one hand differ by at least this in orientation


@dataclass(frozen=True)
class Templates:
    """T typical hands: `points` (T, 21, 2) orthographic, metres, wrist at the origin; `rotations`
    (T, 3, 3) of the views; `poses` (T, 15, 3) axis-angle."""

    points: Tensor
    rotations: Tensor
    poses: Tensor


@dataclass(frozen=True)
class Start:
    """S starts for each of B hands.

    Attributes:
        rotations: (B, S, 3, 3) wrist orientation in the camera frame.
        wrist: (B, S, 3) wrist x px, y px and depth in metres.
        poses: (B, S, 15, 3) axis-angle.
    """

    rotations: Tensor
    wrist: Tensor
    poses: Tensor


def make_templates(layer: HandLayer, prior: HandPrior) -> Templates:
    """Every starting pose of the prior from `_VIEWS` directions."""
    import roma

    count = len(prior.poses)
    device = prior.poses.device
    with torch.no_grad():
        eye = torch.eye(3, device=device).expand(count, 3, 3)
        betas = torch.zeros(count, 10, device=device)
        joints = layer(eye, roma.rotvec_to_rotmat(prior.poses), betas).joints
    joints = joints - joints[:, :1]
    views = _views(_VIEWS).to(device)
    points = torch.einsum("vij,pkj->pvki", views, joints)[..., :2]
    return Templates(
        points.reshape(-1, 21, 2),
        views.repeat(count, 1, 1),
        prior.poses.repeat_interleave(_VIEWS, dim=0),
    )


def guess(
    templates: Templates, points: Tensor, weights: Tensor, intrinsics: Tensor, starts: int
) -> Start:
    """The templates that fit best after turning, scaling and moving in the picture.

    Args:
        points: (B, 21, 2) px, right hands.
        weights: (B, 21), 0 for unknown landmarks.
        intrinsics: (B, 3, 3) px.
        starts: how many different starts a hand.
    """
    total = weights.sum(1, keepdim=True).clamp(min=1e-9)
    target = torch.complex(points[..., 0], points[..., 1])
    middle = (weights * target).sum(1, keepdim=True) / total
    target = target - middle
    shape = torch.complex(templates.points[..., 0], templates.points[..., 1])
    weighted = weights.to(shape.dtype)
    cross = (weighted * target) @ shape.conj().T  # (B, T)
    mean = weighted @ shape.T / total
    spread = weights @ shape.abs().square().T - total * mean.abs().square()
    spread = spread.clamp(min=1e-12)
    # Least squares of |a shape + b - target| leaves a constant minus this.
    explained = cross.abs().square() / spread
    factor = cross / spread
    chosen = torch.stack(
        [_different(explained[i], factor[i], templates, starts) for i in range(len(points))]
    )
    picked = factor.gather(1, chosen)
    place = middle - picked * mean.gather(1, chosen)
    depth = intrinsics[:, None, 0, 0] / picked.abs().clamp(min=1e-6)
    wrist = torch.stack((place.real, place.imag, depth), dim=-1)
    angle = torch.angle(picked)
    turn = _about_z(angle)
    rays = axis_to_ray(wrist[..., :2], intrinsics[:, None])
    return Start(rays @ turn @ templates.rotations[chosen], wrist, templates.poses[chosen])


def axis_to_ray(pixels: Tensor, intrinsics: Tensor) -> Tensor:
    """The least rotations (..., 3, 3) that turn the optical axis onto the rays of pixels (..., 2).

    Transposed they carry points from the camera frame to the frames that look along the rays.
    A hand off the middle of the picture is seen from the side: what looks frontal there is turned.
    """
    x = (pixels[..., 0] - intrinsics[..., 0, 2]) / intrinsics[..., 0, 0]
    y = (pixels[..., 1] - intrinsics[..., 1, 2]) / intrinsics[..., 1, 1]
    length = (1 + x**2 + y**2).sqrt()
    a, b, c = x / length, y / length, 1 / length
    # Rodrigues for the axis z x ray, divided by 1 + cos: no singularity in front of the camera.
    rows = (
        (1 - a * a / (1 + c), -a * b / (1 + c), a),
        (-a * b / (1 + c), 1 - b * b / (1 + c), b),
        (-a, -b, c),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _different(explained: Tensor, factor: Tensor, templates: Templates, starts: int) -> Tensor:
    """Indices of the best templates of one hand whose orientations differ."""
    order = torch.argsort(explained, descending=True)[:400]
    turned = _about_z(torch.angle(factor[order])) @ templates.rotations[order]
    kept = [0]
    for i in range(1, len(order)):
        if len(kept) == starts:
            break
        trace = torch.einsum("ij,kij->k", turned[i], turned[kept])
        if (torch.arccos(((trace - 1) / 2).clamp(-1, 1)) > _APART).all():
            kept.append(i)
    kept += [0] * (starts - len(kept))
    return order[kept]


def _about_z(angle: Tensor) -> Tensor:
    c, s, o, i = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = ((c, -s, o), (s, c, o), (o, o, i))
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _views(count: int) -> Tensor:
    """(count, 3, 3) rotations whose viewing directions cover the sphere evenly."""
    index = np.arange(count) + 0.5
    z = 1 - 2 * index / count
    around = index * np.pi * (3 - np.sqrt(5))  # golden angle
    radius = np.sqrt(1 - z**2)
    forward = np.stack((radius * np.cos(around), radius * np.sin(around), z), -1)
    helper = np.where(np.abs(forward[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    side = np.cross(helper, forward)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    rows = np.stack((side, np.cross(forward, side), forward), axis=1)
    return torch.tensor(rows, dtype=torch.float32)
