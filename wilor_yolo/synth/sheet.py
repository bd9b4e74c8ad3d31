"""Contact sheets: look at samples with their labels drawn."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..samples import HandSample
from ..skeleton import EDGES, FINGER_COLOURS, FINGERS

__all__ = ["draw_sample", "draw_sheet"]


def draw_sample(sample: HandSample) -> np.ndarray:
    """The picture with skeleton, box and side, (H, W, 3) uint8 BGR; hidden joints are hollow."""
    image = sample.image.copy()
    pixels = np.round(sample.keypoints_2d[:, :2] * 8).astype(int)
    known = np.any(sample.keypoints_2d[:, :2], axis=1)  # others lie in the corner
    for i, (a, b) in enumerate(EDGES):
        if not (known[a] and known[b]):
            continue
        colour = FINGER_COLOURS[FINGERS[i // 4]][::-1]
        ends = tuple(pixels[a].tolist()), tuple(pixels[b].tolist())
        cv2.line(image, *ends, colour, 1, cv2.LINE_AA, shift=3)
    for (x, y), seen in zip(pixels.tolist(), sample.keypoints_2d[:, 2], strict=True):
        if seen > 0:
            fill = -1 if seen > 0.75 else 1
            cv2.circle(image, (x, y), 16, (255, 255, 255), fill, cv2.LINE_AA, shift=3)
    x0, y0, x1, y1 = np.round(sample.bbox_xyxy).astype(int).tolist()
    cv2.rectangle(image, (x0, y0), (x1, y1), (200, 200, 200), 1)
    side = "R" if sample.is_right else "L"
    cv2.putText(image, side, (5, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(image, side, (5, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 255, 255), 1, cv2.LINE_AA)
    return image


def draw_sheet(
    samples: Sequence[HandSample], columns: int = 8, labels: bool | str = "half"
) -> np.ndarray:
    """Samples side by side, one uint8 BGR picture.

    Args:
        labels: True, False, or "half": every other sample with its labels drawn.
    """
    drawn = [
        draw_sample(s) if labels is True or (labels == "half" and i % 2) else s.image
        for i, s in enumerate(samples)
    ]
    blank = np.zeros_like(drawn[0])
    drawn += [blank] * (-len(drawn) % columns)
    rows = [np.concatenate(drawn[i : i + columns], 1) for i in range(0, len(drawn), columns)]
    return np.concatenate(rows, 0)
