"""The preprocessing of the released WiLoR, number for number, for its released weights.

It differs from :mod:`wilor_yolo.crops` in three ways: a Gaussian blur instead of averaging whole
pixels where the crop shrinks the picture, half a crop pixel of shift (crop pixel 128, not 127.5, is
the crop's centre), and no rounding of blurred pixels to eight bits. docs/released-weights.md says
how much that matters.
"""

from __future__ import annotations

import cv2
import numpy as np

from .crops import IMAGE_MEAN, IMAGE_STD, CropGeometry, crop_geometry, require_bgr

__all__ = ["released_crop_geometry", "released_crops"]

SIZE = 256
BOX_SCALE = 2.0
ASPECT = 192 / 256  # width over height of what the released ViT sees
BLUR_FROM = 1.1  # shrinking, over 2, from which the released code blurs
TRUNCATE = 4.0  # standard deviations after which the Gaussian is cut


def released_crop_geometry(
    bbox_xyxy: np.ndarray, is_right: np.ndarray, box_scale: float = BOX_SCALE
) -> CropGeometry:
    """The released square around boxes (N, 4) px: twice the box, expanded to 3:4, longer side."""
    return crop_geometry(bbox_xyxy, is_right, box_scale=box_scale, aspect=ASPECT)


def released_crops(image: np.ndarray, geometry: CropGeometry) -> np.ndarray:
    """Cut and normalise crops as the released code does.

    Args:
        image: (H, W, 3) uint8, BGR.
        geometry: N crops, from :func:`released_crop_geometry`.

    Returns:
        (N, 3, 256, 256) float32, normalised RGB, left hands mirrored, black outside the picture.

    Raises:
        HandError: the picture is not (H, W, 3) uint8.
    """
    require_bgr(image)
    crops = np.empty((len(geometry.size), 3, SIZE, SIZE), np.float32)
    scale = (1 / (255 * IMAGE_STD))[:, None, None]
    offset = (IMAGE_MEAN / IMAGE_STD)[:, None, None]
    for i, (center, side, is_right) in enumerate(
        zip(geometry.center, geometry.size, geometry.is_right, strict=True)
    ):
        patch = _patch(image, center, side, bool(is_right))
        crops[i] = patch[..., ::-1].transpose(2, 0, 1) * scale - offset
    return crops


def _patch(image: np.ndarray, center: np.ndarray, side: np.floating, is_right: bool) -> np.ndarray:
    """(256, 256, 3) BGR, 0 to 255; uint8 without a blur, float64 with one."""
    half_shrink = float(side) / SIZE / 2
    if half_shrink > BLUR_FROM:
        image = _blurred_around(image, center, float(side), sigma=(half_shrink - 1) / 2)
    x, y = center
    if not is_right:
        image = cv2.flip(image, 1)
        x = image.shape[1] - x - 1
    # Through three points in single precision and in coordinates of the whole picture, as the
    # released code does: the last bit decides which 1/32 pixel OpenCV reads.
    here = np.array([[x, y], [x, y + side / 2], [x + side / 2, y]], np.float32)
    half = SIZE / 2
    there = np.array([[half, half], [half, SIZE], [SIZE, half]], np.float32)
    return cv2.warpAffine(
        image,
        cv2.getAffineTransform(here, there),
        (SIZE, SIZE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )


def _blurred_around(image: np.ndarray, center: np.ndarray, side: float, sigma: float) -> np.ndarray:
    """The picture blurred where the crop lies, zero (and not even paged in) elsewhere.

    The released code blurs the whole picture for every hand; the crop sees the same numbers.
    """
    height, width = image.shape[:2]
    radius = int(TRUNCATE * sigma + 0.5)
    inner = side / 2 + side / SIZE + 2
    left, top, right, bottom = _window(center, inner, width, height)
    blurred = np.zeros(image.shape, np.float64)
    if right <= left or bottom <= top:
        return blurred
    x0, y0, x1, y1 = _window(center, inner + radius, width, height)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    region = cv2.sepFilter2D(
        image[y0:y1, x0:x1].astype(np.float64),
        cv2.CV_64F,
        kernel,
        kernel,
        borderType=cv2.BORDER_REPLICATE,
    )
    blurred[top:bottom, left:right] = region[top - y0 : bottom - y0, left - x0 : right - x0]
    return blurred


def _window(center: np.ndarray, reach: float, width: int, height: int) -> tuple[int, ...]:
    x, y = float(center[0]), float(center[1])
    return (
        max(int(np.floor(x - reach)), 0),
        max(int(np.floor(y - reach)), 0),
        min(int(np.ceil(x + reach)) + 1, width),
        min(int(np.ceil(y + reach)) + 1, height),
    )
