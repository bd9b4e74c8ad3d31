"""A second look at hands that do not point up.

Not in the paper. Most pictures, and all that the landmark stem was first made with, show hands
with the fingers above the wrist; a hand that comes from the side or from above is read worse. The
first look tells where it points to; its crop is cut again, turned so that the fingers point up, and
what is seen there is turned back. It tells where the hand lies, too: a crop that the detector's box
has put askew, or too wide because of the arm, is moved. Networks made for it say so
(`NetworkConfig.second_look`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..crops import CropGeometry
from ..geometry import matrix_to_rotation_6d, rotation_6d_to_matrix
from .network import NetworkOutput

__all__ = ["centred_crops", "turn_hands", "turned_crops"]

_BOX_OVER_JOINTS = 1.18  # longer sides: of hand boxes, and of their joints alone, in training crops
# What a crop must be off before it is moved: training crops are shifted and scaled as much.
_LEAST_SHIFT = 0.07  # of the crop's side
_LEAST_ZOOM = 1.2
_MOST_ZOOM = 1.6  # a first look at a bad crop may err itself


def centred_crops(
    geometry: CropGeometry, keypoints_2d_crop: np.ndarray, chosen: np.ndarray, box_scale: float
) -> CropGeometry:
    """Crops moved to where the first look saw hands, if that is elsewhere or of another size.

    Args:
        geometry: N crops, none of them turned.
        keypoints_2d_crop: (N, 21, 2) what was seen in them, crop units.
        chosen: (N,) bool; the others stay.
        box_scale: crop side over the longer side of the box.

    Returns:
        N crops.
    """
    points = geometry.to_image(keypoints_2d_crop)
    low, high = points.min(axis=1), points.max(axis=1)
    center = (low + high) / 2
    zoom = box_scale * _BOX_OVER_JOINTS * (high - low).max(axis=1) / geometry.size
    shift = np.linalg.norm(center - geometry.center, axis=1) / geometry.size
    askew = (shift > _LEAST_SHIFT) | (np.maximum(zoom, 1 / zoom) > _LEAST_ZOOM)
    moved = chosen & askew
    zoom = zoom.clip(1 / _MOST_ZOOM, _MOST_ZOOM)
    return replace(
        geometry,
        center=np.where(moved[:, None], center, geometry.center),
        size=np.where(moved, zoom * geometry.size, geometry.size),
    )


def turned_crops(geometry: CropGeometry, turn: np.ndarray) -> CropGeometry:
    """The crops of a second look.

    Args:
        geometry: N crops, none of them turned.
        turn: (N,) radians, clockwise; crops with 0 are left out.
    """
    index = np.flatnonzero(turn)
    return CropGeometry(
        geometry.center[index], geometry.size[index], geometry.is_right[index], turn[index]
    )


def turn_hands(output: NetworkOutput, angle: np.ndarray) -> NetworkOutput:
    """The same B hands with their crops turned.

    Turning a crop rolls its camera about the line of sight, on which the crop's centre lies; so the
    distance and all but the first rotation stay.

    Args:
        output: of B crops. The 6D numbers of `global_orient` come back orthogonal; `coarse` stays
            as it was seen.
        angle: (B,) radians, clockwise on the screen.
    """
    about = torch.as_tensor(angle, dtype=output.vertices.dtype, device=output.vertices.device)
    cos, sin = about.cos(), about.sin()
    flat = torch.stack((torch.stack((cos, -sin), dim=1), torch.stack((sin, cos), dim=1)), dim=1)
    roll = torch.eye(3, dtype=flat.dtype, device=flat.device).repeat(len(flat), 1, 1)
    roll[:, :2, :2] = flat
    # The hand turns about its wrist joint, as `global_orient` turns it; the translation follows.
    wrist = output.joints[:, :1]
    moved = _turned(wrist + output.cam_t_crop[:, None], roll) - wrist
    return replace(
        output,
        cam=torch.cat((output.cam[:, :1], moved[:, 0, :2]), dim=1),
        cam_t_crop=moved[:, 0],
        global_orient=roll @ output.global_orient,
        vertices=_turned(output.vertices - wrist, roll) + wrist,
        joints=_turned(output.joints - wrist, roll) + wrist,
        keypoints_2d_crop=_turned(output.keypoints_2d_crop, flat),
        pose6d=_turned_6d(output.pose6d, roll),
    )


def _turned(points: Tensor, rotation: Tensor) -> Tensor:
    return points @ rotation.transpose(1, 2)


def _turned_6d(pose6d: Tensor, roll: Tensor) -> Tensor:
    root = matrix_to_rotation_6d(roll @ rotation_6d_to_matrix(pose6d[:, :6]))
    return torch.cat((root, pose6d[:, 6:]), dim=1)
