"""Sheets of what a network is shown in training: augmented crops and the labels that go with them.

Drawn from the very tensors of a training batch, so a label that does not fit the pixels here does
not fit them in training either.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from ..mano.layer import HandLayer
from ..render.skeleton import draw_skeleton
from ..samples import EncodedSample
from .augment import AugmentConfig
from .batches import make_batch
from .config import NetworkConfig
from .losses import complete_targets
from .val_pictures import crop_pictures

__all__ = ["seen_sheet"]

_JOINTS = (255, 255, 0)  # BGR: 3D joints, fitted on the 2D ones
_POSED = (255, 0, 255)  # joints of the posed hand model, the same way
_ARM = 2  # px of a cross
_NEEDED = 4  # 2D keypoints for a fit


def seen_sheet(
    samples: Sequence[EncodedSample],
    network: NetworkConfig,
    augment: AugmentConfig | None,
    hand: HandLayer,
    seed: int = 0,
    columns: int = 4,
    side: int = 192,
) -> np.ndarray:
    """Each sample twice: the crop, and the crop with its labels.

    Bones: 2D keypoints, unsure ones hollow. Cyan crosses: 3D joints, scaled and
    shifted on the 2D ones; magenta crosses: the hand model posed with the parameters, likewise.
    A caption names source and labels. All hands are right hands here; columns the network does
    not see are dimmed.

    Args:
        samples: to be drawn.
        network: whose crops.
        augment: None for plain views.
        hand: the model that the parameters are of.
        seed: of the augmentation.
        columns: samples in a row.
        side: px of a tile.

    Returns:
        uint8 BGR.

    Raises:
        HandError: a sample cannot be decoded; the message names it.
    """
    keys = [(seed, i) for i in range(len(samples))]
    batch = make_batch(samples, network, augment, keys)
    known = batch.targets
    with torch.no_grad():
        posed = hand(known.global_orient, known.hand_pose, known.betas).joints.numpy()
    flat, joints = known.keypoints_2d.numpy(), complete_targets(known, hand).known.joints_3d.numpy()
    has_joints = known.joints_3d_weight.numpy() > 0
    has_parameters = known.has_parameters.numpy() > 0
    tiles = []
    for i, picture in enumerate(crop_pictures(batch.crops, side)):
        hidden = round(side * (1 - network.visible) / 2)
        if hidden:
            picture[:, :hidden] //= 3
            picture[:, side - hidden :] //= 3
        drawn = picture.copy()
        points = flat[i, :, :2] * side + side / 2 - 0.5
        sure = flat[i, :, 2]
        draw_skeleton(drawn, points, sure)
        for there, label, colour in (
            (has_joints[i], joints[i], _JOINTS),
            (has_parameters[i], posed[i], _POSED),
        ):
            if there and (sure > 0).sum() >= _NEEDED:
                _crosses(drawn, _fitted(label[:, :2], points, sure), colour)
        caption = [batch.keys[i].split("/")[0], f"2D {int((sure > 0).sum())}"]
        caption += [f"3D {float(known.joints_3d_weight[i]):g}"] if has_joints[i] else []
        caption += ["pose"] if has_parameters[i] else []
        drawn[side - 14 :] //= 4
        place, font = (3, side - 4), cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(drawn, " ".join(caption), place, font, 0.35, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(np.concatenate((picture, drawn), axis=1))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    return np.concatenate(rows, 0)


def _fitted(xy: np.ndarray, points: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(21, 2): `xy` scaled and shifted on to the known `points`."""
    share = (weight / weight.sum())[:, None]
    centre, target = (xy * share).sum(0), (points * share).sum(0)
    a, b = xy - centre, points - target
    scale = (share * a * b).sum() / max(float((share * a * a).sum()), 1e-12)
    return a * scale + target


def _crosses(image: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> None:
    limit = 4 * max(image.shape[:2])
    for x, y in np.clip(np.nan_to_num(points), -limit, limit).round().astype(int).tolist():
        cv2.line(image, (x - _ARM, y - _ARM), (x + _ARM, y + _ARM), colour, 1)
        cv2.line(image, (x - _ARM, y + _ARM), (x + _ARM, y - _ARM), colour, 1)
