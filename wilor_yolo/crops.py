"""From hand boxes in a picture to the crops the network sees, and back.

The one left/right convention: **the network sees right hands.** The crop of a left hand is
mirrored here, and what the network says of it is un-mirrored in
:mod:`wilor_yolo.reconstruct.placing` with the functions of :mod:`wilor_yolo.geometry`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .errors import HandError

__all__ = [
    "IMAGE_MEAN",
    "IMAGE_STD",
    "CropGeometry",
    "crop_axes",
    "crop_geometry",
    "crop_hands",
    "normalise",
    "require_bgr",
]

# ImageNet statistics, RGB, as in the released preprocessing and in every pretrained trunk we use.
IMAGE_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGE_STD = np.array([0.229, 0.224, 0.225], np.float32)

_SCALE = (1 / (255 * IMAGE_STD)).astype(np.float32)
_OFFSET = (-IMAGE_MEAN / IMAGE_STD).astype(np.float32)


@dataclass(frozen=True)
class CropGeometry:
    """Where N square crops lie in their picture.

    Attributes:
        center: (N, 2) crop centres, px of the picture.
        size: (N,) crop sides, px of the picture.
        is_right: (N,) bool; False means that the crop is mirrored.
        angle: (N,) radians by which the crop, mirrored or not, is turned, clockwise on the screen;
            None for crops as upright as their picture.
    """

    center: np.ndarray
    size: np.ndarray
    is_right: np.ndarray
    angle: np.ndarray | None = None

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Picture pixels (N, K, 2) of points (N, K, 2) in crop units (-0.5 to 0.5)."""
        axes = self._axes.astype(points.dtype)
        return points @ axes * self.size[:, None, None] + self.center[:, None]

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Crop units (-0.5 to 0.5) of picture pixels (N, K, 2); inverse of :meth:`to_image`."""
        units = (points - self.center[:, None]) / self.size[:, None, None]
        return units @ self._axes.transpose(0, 2, 1).astype(units.dtype)

    @property
    def _axes(self) -> np.ndarray:
        angle = np.zeros(len(self.size)) if self.angle is None else self.angle
        return crop_axes(angle, ~self.is_right)


def crop_axes(angle: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """From directions in the picture to directions in a crop.

    Args:
        angle: (...) radians by which the crop is turned, clockwise as one sees it.
        mirrored: (...) whether left and right are swapped before.

    Returns:
        (..., 2, 2).
    """
    cos, sin = np.cos(angle), np.sin(angle)
    sign = np.where(mirrored, -1.0, 1.0)
    return np.stack(
        (np.stack((cos * sign, -sin), axis=-1), np.stack((sin * sign, cos), axis=-1)), axis=-2
    )


def crop_geometry(
    bbox_xyxy: np.ndarray, is_right: np.ndarray, *, box_scale: float = 1.5, aspect: float = 1.0
) -> CropGeometry:
    """Square crops around hand boxes.

    Args:
        bbox_xyxy: (N, 4) px.
        is_right: (N,) bool.
        box_scale: crop side over max(width / aspect, height) of the box.
        aspect: width over height of what the network sees of the square; 0.75 for the released
            ViT, which drops a quarter of the columns, so that wide boxes get larger crops.

    Raises:
        HandError: a box holds a number that is not finite, or the sides are not as many.
    """
    box = np.asarray(bbox_xyxy, np.float32).reshape(-1, 4)
    sides = np.asarray(is_right, bool).reshape(-1)
    if not np.isfinite(box).all():
        raise HandError("a hand box holds numbers that are not finite; drop it.")
    if len(sides) != len(box):
        raise HandError(f"{len(box)} boxes need {len(box)} sides, got {len(sides)}.")
    width, height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    return CropGeometry(
        center=(box[:, :2] + box[:, 2:]) / 2,
        size=box_scale * np.maximum(np.maximum(width / aspect, height), 1e-3),
        is_right=sides,
    )


def crop_hands(image: np.ndarray, geometry: CropGeometry, size: int) -> np.ndarray:
    """Cut the crops out of one picture.

    Each crop is one warp from the original picture. Where the crop shrinks the picture, its own
    region is first averaged over whole pixels, so fine texture does not alias and the rest of a
    large photograph is never touched.

    Args:
        image: (H, W, 3) uint8, BGR.
        geometry: the N crops.
        size: side of the crops, px.

    Returns:
        (N, size, size, 3) uint8, BGR; left hands mirrored; black outside the picture.

    Raises:
        HandError: the picture is not (H, W, 3) uint8, or empty.
    """
    require_bgr(image)
    crops = np.zeros((len(geometry.size), size, size, 3), np.uint8)
    angles = np.zeros(len(crops)) if geometry.angle is None else geometry.angle
    for i, (center, side, is_right, angle) in enumerate(
        zip(geometry.center, geometry.size, geometry.is_right, angles, strict=True)
    ):
        crops[i] = _crop(image, center, float(side), bool(is_right), float(angle), size)
    return crops


def require_bgr(image: np.ndarray) -> None:
    """Raise unless `image` is a picture we can cut.

    Raises:
        HandError: the picture is not (H, W, 3) uint8.
    """
    if not isinstance(image, np.ndarray):  # None: what cv2.imread gives for a missing file
        raise HandError(f"expected a BGR picture (H, W, 3) of uint8, got {type(image).__name__}.")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise HandError(
            f"expected a BGR picture (H, W, 3) of uint8, got {image.shape} of {image.dtype}; "
            "read it with cv2.imread(path, cv2.IMREAD_COLOR)."
        )
    if not image.size:
        raise HandError(f"the picture has no pixels: {image.shape}.")


def normalise(crops: np.ndarray) -> np.ndarray:
    """What the network reads: (N, 3, S, S) float32, RGB, less ImageNet mean, over its deviation.

    Args:
        crops: (N, S, S, 3) uint8, BGR, as :func:`crop_hands` gives them.
    """
    rgb = crops[..., ::-1].astype(np.float32)
    rgb *= _SCALE
    rgb += _OFFSET
    return np.ascontiguousarray(rgb.transpose(0, 3, 1, 2))


def _crop(
    image: np.ndarray, center: np.ndarray, side: float, is_right: bool, angle: float, size: int
) -> np.ndarray:
    height, width = image.shape[:2]
    x, y = float(center[0]), float(center[1])
    if not is_right:  # from here on, all is as for a right hand in the mirrored picture
        x = width - 1 - x
    # Rounded, not cut: between 1.5 and 2 plain bilinear reading would let most of a 1 px texture
    # through as false patterns. No block need be larger than the picture.
    shrink = min(max(round(side / size), 1), max(height, width))
    # The region in whole blocks of `shrink` pixels that covers the crop, inside the picture.
    cos, sin = np.cos(angle), np.sin(angle)
    reach = side / 2 * (abs(cos) + abs(sin)) + shrink + 1
    left, top = max(int(np.floor(x - reach)), 0), max(int(np.floor(y - reach)), 0)
    right, bottom = min(int(np.ceil(x + reach)), width), min(int(np.ceil(y + reach)), height)
    if right <= left or bottom <= top:
        return np.zeros((size, size, 3), np.uint8)
    columns, rows = -(-(right - left) // shrink), -(-(bottom - top) // shrink)
    right, bottom = min(left + columns * shrink, width), min(top + rows * shrink, height)
    if is_right:
        region = np.ascontiguousarray(image[top:bottom, left:right])
    else:  # OpenCV mirrors a region several times faster than numpy copies a mirrored view
        region = cv2.flip(image[top:bottom, width - right : width - left], 1)
    if shrink > 1:
        # Blocks that reach over the edge of the picture see black there, as the crop does.
        pad_right, pad_bottom = columns * shrink - region.shape[1], rows * shrink - region.shape[0]
        if pad_right or pad_bottom:
            region = cv2.copyMakeBorder(region, 0, pad_bottom, 0, pad_right, cv2.BORDER_CONSTANT)
        region = cv2.resize(region, (columns, rows), interpolation=cv2.INTER_AREA)
    # Crop pixel u (centre of pixel 0 at 0) shows crop unit (u + 0.5) / size - 0.5.
    step = side / size
    back = step * np.array([[cos, sin], [-sin, cos]])
    origin = np.array([x, y]) + back @ np.full(2, 0.5 - size / 2)
    # Picture pixel x is region pixel (x - left + 0.5) / shrink - 0.5.
    start = (origin - (left, top) + 0.5) / shrink - 0.5
    to_region = np.column_stack((back / shrink, start))
    return cv2.warpAffine(
        region,
        to_region,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
