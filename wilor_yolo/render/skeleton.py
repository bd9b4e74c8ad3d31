"""The 21 joints of a hand as coloured bones, for sheets of samples and validation pictures."""

from __future__ import annotations

import cv2
import numpy as np

from ..skeleton import EDGES, FINGER_COLOURS, FINGERS

__all__ = ["draw_skeleton"]

_FRACTION = 3  # bits of OpenCV's sub-pixel drawing
_SURE = 0.75  # confidence above which a joint is drawn filled


def draw_skeleton(
    image_bgr: np.ndarray,
    points: np.ndarray,
    confidence: np.ndarray | None = None,
    thickness: int = 1,
) -> None:
    """Draw into a picture, in place: bones in their finger's colour, unsure joints hollow.

    Args:
        image_bgr: (H, W, 3) uint8 BGR, contiguous.
        points: (21, 2) px, pixel centres at whole numbers.
        confidence: (21,) 0..1; joints at 0 and their bones are left out; None: all are known.
        thickness: of the bones, px.
    """
    sure = np.ones(len(points)) if confidence is None else np.asarray(confidence)
    # Coordinates far outside overflow OpenCV's 16 bits.
    limit = 4 * max(image_bgr.shape[:2])
    at = np.clip(np.nan_to_num(points), -limit, limit)
    pixels = np.round(at * 2**_FRACTION).astype(int)
    for i, (a, b) in enumerate(EDGES):
        if sure[a] > 0 and sure[b] > 0:
            colour = FINGER_COLOURS[FINGERS[i // 4]][::-1]
            ends = tuple(pixels[a].tolist()), tuple(pixels[b].tolist())
            cv2.line(image_bgr, *ends, colour, thickness, cv2.LINE_AA, shift=_FRACTION)
    for (x, y), known in zip(pixels.tolist(), sure, strict=True):
        if known > 0:
            fill = -1 if known > _SURE else 1
            white = (255, 255, 255)
            cv2.circle(image_bgr, (x, y), 12, white, fill, cv2.LINE_AA, shift=_FRACTION)
