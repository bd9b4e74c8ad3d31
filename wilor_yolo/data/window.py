"""The part of a picture about a hand, cut out and shrunk, and labels carried into it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """A rectangle of whole pixels: left, top, right, bottom."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, center: np.ndarray, side: float, width: int, height: int) -> Window:
        """The square of `side` px about `center` (2,), as far as the picture reaches."""
        low = np.maximum(np.floor(center - side / 2), 0).astype(int)
        high = np.minimum(np.ceil(center + side / 2), (width, height)).astype(int)
        return cls(int(low[0]), int(low[1]), int(high[0]), int(high[1]))

    def take(self, image: np.ndarray, largest: int) -> tuple[np.ndarray, np.ndarray]:
        """The pixels, shrunk to `largest` if need be, and how much each axis shrank (2,)."""
        part = image[self.top : self.bottom, self.left : self.right]
        ratio = largest / max(part.shape[:2])
        if ratio < 1:
            part = cv2.resize(part, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        # cv2.resize rounds the size: each axis has its own exact ratio, between pixel borders.
        size = np.array([self.right - self.left, self.bottom - self.top])
        return np.ascontiguousarray(part), np.array(part.shape[1::-1]) / size

    def move(self, points: np.ndarray, ratios: np.ndarray) -> np.ndarray:
        """Points (..., 2) px of the picture in the pixels that :meth:`take` gave."""
        return (points - (self.left, self.top) + 0.5) * ratios - 0.5

    def move_camera(self, intrinsics: np.ndarray, ratios: np.ndarray) -> np.ndarray:
        """The same of intrinsics (3, 3)."""
        moved = np.asarray(intrinsics, np.float64).copy()
        moved[0, :2] *= ratios[0]
        moved[1, 1] *= ratios[1]
        moved[:2, 2] = self.move(moved[:2, 2], ratios)
        return moved
