"""HInt (Pavlakos et al. 2024): 2D keypoints in the wild, as HaMeR's `.npz` files hold them.

PCK at 0.05, 0.1 and 0.15 of the hand box: the share of labelled joints whose projection lies
nearer to the label, per joint, then averaged over the joints. Its subsets (New Days, Epic-Kitchens,
Ego4D; all, visible or occluded joints) are one file each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dataset_files import NpzFile
from ..errors import HandError
from ..metrics.pose import relative_2d_errors
from .frames import EvaluationFrame

__all__ = ["THRESHOLDS", "HintSet", "hint_pck", "read_hint"]

THRESHOLDS = (0.05, 0.1, 0.15)
_LABELLED = 0.5  # confidence above it


@dataclass(frozen=True)
class HintSet:
    """N frames and their `keypoints` (N, 21, 3), px and confidence; `box_side` (N,) px."""

    frames: list[EvaluationFrame]
    keypoints: np.ndarray
    box_side: np.ndarray


def read_hint(data: str | Path, images: str | Path) -> HintSet:
    """Read one subset.

    Args:
        data: e.g. `TEST_newdays_img_all.npz`.
        images: the folder of its pictures.

    Raises:
        HandError: a file is missing, damaged, or lacks an array.
    """
    arrays = NpzFile(data)
    names = arrays.read("imgname")
    centers = np.asarray(arrays.read("center"), np.float64).reshape(-1, 2)
    sides = np.asarray(arrays.read("scale"), np.float64)
    if sides.shape not in {(len(centers),), (len(centers), 1), (len(centers), 2)}:
        raise HandError(f"{data}: scale has the shape {sides.shape} for {len(centers)} boxes.")
    sides = sides.reshape(len(centers), -1)
    keypoints = np.asarray(arrays.read("hand_keypoints_2d"), np.float64)
    right = np.asarray(arrays.read("right")) > 0 if "right" in arrays else np.ones(len(names), bool)
    if keypoints.shape != (len(centers), 21, 3) or len(names) != len(centers):
        raise HandError(f"{data}: {keypoints.shape} keypoints for {len(centers)} boxes.")
    bad = ~np.isfinite(keypoints).all(axis=(1, 2))
    if bad.any():
        raise HandError(f"{data}: sample {int(bad.argmax())} holds NaN or infinity.")
    sizes = np.broadcast_to(sides, (len(centers), 2))
    frames = [
        EvaluationFrame(
            picture=Path(images) / (name.decode() if isinstance(name, bytes) else str(name)),
            box=np.concatenate((center - size / 2, center + size / 2)),
            is_right=bool(is_right),
        )
        for name, center, size, is_right in zip(names, centers, sizes, right, strict=True)
    ]
    return HintSet(frames, keypoints, sizes.max(axis=1))


def hint_pck(points: np.ndarray, truth: HintSet) -> dict[float, float]:
    """PCK by threshold of projected joints (N, 21, 2) px; NaN when nothing is labelled."""
    errors = relative_2d_errors(points, truth.keypoints, truth.box_side, _LABELLED)
    result = {}
    for threshold in THRESHOLDS:
        known = np.isfinite(errors)
        labelled = known.any(axis=0)
        near = np.where(known, errors < threshold, False).sum(axis=0)
        shares = near[labelled] / known.sum(axis=0)[labelled]
        result[threshold] = float(shares.mean()) if labelled.any() else float("nan")
    return result
