"""Bone lengths and joint angles of hands, and what it costs when they are not a hand's.

The formulation of Spurr et al. 2020 ("Weakly supervised 3D hand pose estimation via biomechanical
constraints"), which paper section 3 (Eq. 3) follows: each bone has an interval of lengths, each
joint an interval of flexion and one of abduction, measured in a frame of the joint's own that
travels along the finger. The intervals come from a YAML file; ours holds percentiles of our own
shape space and pose library (:mod:`.build_priors`), not anybody's published numbers. Spurr's convex
hulls of the two angles are intervals here, and his palm terms (curvature, spread) are left to the
mesh prior, which sees the palm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import HandError
from ..skeleton import EDGES, FINGERS, JOINT_NAMES
from ..yaml_files import read_yaml

__all__ = [
    "ANGLE_JOINTS",
    "BONES",
    "DEFAULT_LIMITS",
    "HandLimits",
    "angle_loss",
    "bone_angles",
    "bone_lengths",
    "bone_loss",
    "read_limits",
]

DEFAULT_LIMITS = Path(__file__).with_name("cfg") / "biomechanics.yaml"
BONES = tuple(JOINT_NAMES[end] for _, end in EDGES)  # a bone is named after its outer joint
# Joints with angles: every joint but the wrist and the tips, finger by finger.
ANGLE_JOINTS = tuple(f"{finger}{k}" for finger in FINGERS for k in (1, 2, 3))

_STARTS, _ENDS = ([edge[k] for edge in EDGES] for k in (0, 1))
_EPSILON = 1e-6
# A bone folded right back on its parent has no least rotation; kept away from the singularity.
_MIN_COSINE = -0.999


@dataclass(frozen=True)
class HandLimits:
    """Feasible intervals.

    Attributes:
        bones: (20, 2) metres, lowest and highest length, in the order of `BONES`.
        flexion, abduction: (15, 2) radians, in the order of `ANGLE_JOINTS`.
        source: where the numbers come from, one line.
    """

    bones: Tensor
    flexion: Tensor
    abduction: Tensor
    source: str = ""

    def to(self, device: torch.device | str) -> HandLimits:
        """The same on another device."""
        bones, flexion, abduction = (
            limits.to(device) for limits in (self.bones, self.flexion, self.abduction)
        )
        return HandLimits(bones, flexion, abduction, self.source)


def bone_lengths(joints: Tensor) -> Tensor:
    """Lengths (B, 20), metres, of the bones of joints (B, 21, 3), in the order of `BONES`."""
    return (joints[:, _ENDS] - joints[:, _STARTS]).norm(dim=-1)


def bone_angles(joints: Tensor) -> tuple[Tensor, Tensor]:
    """Flexion and abduction of the 15 joints, in the order of `ANGLE_JOINTS`.

    The frame of a finger's first joint has its z along the palm bone (wrist to that joint), its y
    out of the palm's inside and its x sideways. The next joint's frame is the same one after the
    least rotation that lays its z along the bone between them. In its joint's frame a bone has a
    flexion (from z towards y, positive towards the palm) and an abduction (from the y-z plane
    towards x, towards the little finger's side of a right hand).

    Not the angles of :func:`wilor_yolo.joint_angles.joint_angles`, which are read off a model's
    rotations, in degrees, are zero in the flat hand and count a spread finger away from the middle
    one. Zero here is a bone in line with the one before it, and one direction counts for all.

    Args:
        joints: (B, 21, 3) of **right** hands, any position and orientation, any unit.

    Returns:
        Flexion and abduction, both (B, 15), radians.
    """
    bones = functional.normalize(joints[:, _ENDS] - joints[:, _STARTS], dim=-1, eps=_EPSILON)
    bones = bones.reshape(-1, 5, 4, 3)
    z = bones[:, :, 0]
    y = _palm_normals(z)
    y = functional.normalize(y - (y * z).sum(-1, keepdim=True) * z, dim=-1, eps=_EPSILON)
    x = torch.linalg.cross(y, z)
    flexions, abductions = [], []
    for k in (1, 2, 3):
        bone = bones[:, :, k]
        along_x, along_y, along_z = ((bone * axis).sum(-1) for axis in (x, y, z))
        flexions.append(torch.atan2(along_y, along_z + _EPSILON * (along_z == 0)))
        abductions.append(torch.asin(along_x.clamp(-1 + _EPSILON, 1 - _EPSILON)))
        x, y = (_carried(axis, z, bone) for axis in (x, y))
        z = bone
    order = (torch.stack(angles, dim=-1).flatten(1) for angles in (flexions, abductions))
    flexion, abduction = order
    return flexion, abduction


def bone_loss(joints: Tensor, limits: HandLimits) -> Tensor:
    """L_BL (B,): mean over the bones of how far each is outside its interval, metres."""
    return _outside(bone_lengths(joints), limits.bones).mean(-1)


def angle_loss(joints: Tensor, limits: HandLimits) -> Tensor:
    """L_A (B,): mean over the joints of how far flexion and abduction are outside, radians."""
    flexion, abduction = bone_angles(joints)
    outside = _outside(flexion, limits.flexion) + _outside(abduction, limits.abduction)
    return outside.mean(-1)


def read_limits(path: str | Path | None = None) -> HandLimits:
    """Read intervals from a YAML file.

    Args:
        path: a file like `cfg/biomechanics.yaml`, which is the default: `bones` in millimetres,
            `flexion` and `abduction` in degrees, each a mapping of joint name to [low, high].

    Raises:
        HandError: the file is missing, or lacks an interval.
    """
    path = DEFAULT_LIMITS if path is None else Path(path)
    data = read_yaml(path)
    return HandLimits(
        _intervals(data, "bones", BONES, path) / 1000.0,
        torch.deg2rad(_intervals(data, "flexion", ANGLE_JOINTS, path)),
        torch.deg2rad(_intervals(data, "abduction", ANGLE_JOINTS, path)),
        str(data.get("source", path)),
    )


def _intervals(data: dict[str, Any], part: str, names: tuple[str, ...], path: Path) -> Tensor:
    table = data.get(part)
    rows = []
    for name in names:
        row = table.get(name) if isinstance(table, dict) else None
        try:
            low, high = (float(value) for value in row)  # type: ignore[union-attr]
        except (TypeError, ValueError):
            raise HandError(f"{path}: {part} needs {name}: [low, high], got {row!r}.") from None
        if not low <= high:
            raise HandError(f"{path}: {part} {name}: {low} is above {high}.")
        rows.append((low, high))
    return torch.tensor(rows)


def _outside(values: Tensor, intervals: Tensor) -> Tensor:
    """How far values (B, K) lie outside intervals (K, 2); Spurr's I."""
    return functional.relu(intervals[:, 0] - values) + functional.relu(values - intervals[:, 1])


def _palm_normals(palm: Tensor) -> Tensor:
    """(B, 5, 3) directions out of the palm's inside at each finger, from the palm bones (B, 5, 3).

    Between two neighbouring palm bones of a right hand, thumb to little finger, the cross product
    of the first and the second points out of the palm. A finger takes the mean of both sides.
    """
    between = functional.normalize(
        torch.linalg.cross(palm[:, :-1], palm[:, 1:]), dim=-1, eps=_EPSILON
    )
    sides = torch.cat((between[:, :1], between[:, :-1] + between[:, 1:], between[:, -1:]), dim=1)
    return functional.normalize(sides, dim=-1, eps=_EPSILON)


def _carried(vector: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """`vector` turned by the least rotation that carries unit vector `start` to `end`."""
    cosine = (start * end).sum(-1, keepdim=True).clamp(min=_MIN_COSINE)
    axis = torch.linalg.cross(start, end)
    across = torch.linalg.cross(axis, vector)
    return vector + across + torch.linalg.cross(axis, across) / (1 + cosine)
