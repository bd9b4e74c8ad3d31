"""Samples of one size, for a sheet."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ..samples import HandSample

__all__ = ["squared"]


def squared(sample: HandSample, side: int) -> HandSample:
    """The sample in a black square of `side` px: fitted, centred, its labels moved along."""
    height, width = sample.image.shape[:2]
    if (height, width) == (side, side):
        return sample
    ratio = side / max(height, width)
    size = max(round(width * ratio), 1), max(round(height * ratio), 1)
    shrinks = ratio < 1
    part = cv2.resize(
        sample.image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    image = np.zeros((side, side, 3), np.uint8)
    image[top : top + size[1], left : left + size[0]] = part
    # Each axis has its own exact ratio, between pixel borders.
    ratios = np.array(size) / (width, height)

    def move(points: np.ndarray) -> np.ndarray:
        return (points + 0.5) * ratios - 0.5 + (left, top)

    keypoints = sample.keypoints_2d.copy()
    known = keypoints[:, 2] > 0
    keypoints[known, :2] = move(keypoints[known, :2])
    camera = None
    if sample.K is not None:
        camera = sample.K.astype(np.float64)
        camera[0, :2] *= ratios[0]
        camera[1, 1] *= ratios[1]
        camera[:2, 2] = move(camera[:2, 2])
    return replace(
        sample,
        image=image,
        bbox_xyxy=move(sample.bbox_xyxy.reshape(2, 2)).reshape(4),
        keypoints_2d=keypoints,
        K=camera,
    )
