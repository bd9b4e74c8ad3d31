"""Augmentations that know what a hand is (paper section 5.1).

The stock pipeline mirrors pictures without swapping left and right, boxes the rotated corners of a
box, and has no masking for pose. The classes here replace or extend exactly those three steps.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from ultralytics.data.augment import BaseTransform, Compose, RandomFlip, RandomPerspective
from ultralytics.utils import __version__

from ..skeleton import LEFT, RIGHT
from .options import HandOptions

__all__ = ["HandFlip", "HandMask", "HandPerspective", "HandTurn", "with_hand_transforms"]

_ELLIPSE = np.stack(
    (np.cos(np.linspace(0, 2 * np.pi, 36, False)), np.sin(np.linspace(0, 2 * np.pi, 36, False))), 1
)


class HandFlip(RandomFlip):
    """Mirror a picture and swap left and right; keypoints keep their order.

    A picture seen in a mirror, horizontal or vertical, shows the other hand. Index finger stays
    index finger, so unlike eyes or shoulders no keypoint changes its place in the list.
    """

    def apply_instances(
        self, labels: dict[str, Any], params: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Mirror boxes and keypoints, and swap the class of each hand, as the picture is."""
        assert params is not None  # the stock pipeline always gives them
        labels = super().apply_instances(labels, params)
        if params["flip"]:
            labels["cls"] = LEFT + RIGHT - labels["cls"]  # UNSURE_CLASS is its own mirror image
        return labels


class HandPerspective(RandomPerspective):
    """Random affine whose boxes stay tight under rotation.

    Boxing the rotated corners grows a box up to twofold at 45 degrees. Here a box follows the
    ellipse inscribed in it, which leaves it unchanged without rotation, enlarged where needed so
    that the keypoints of the hand stay inside.
    """

    _keypoints: np.ndarray | None = None  # of the instances being transformed, px before the affine

    def apply_instances(
        self, labels: dict[str, Any], params: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """See RandomPerspective; also shows the keypoints to :meth:`apply_bboxes`."""
        assert params is not None  # the stock pipeline always gives them
        instances = labels["instances"]
        instances.convert_bbox(format="xyxy")
        instances.denormalize(*params["orig_shape"][::-1])
        self._keypoints = None if instances.keypoints is None else instances.keypoints.copy()
        labels = super().apply_instances(labels, params)
        self._keypoints = None
        return labels

    def apply_bboxes(self, bboxes: np.ndarray, M: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) xyxy px after the 3x3 matrix `M`."""
        if len(bboxes) == 0:
            return bboxes
        centre = (bboxes[:, None, :2] + bboxes[:, None, 2:]) / 2
        half = (bboxes[:, None, 2:] - bboxes[:, None, :2]) / 2
        outline = self._move(centre + half * _ELLIPSE, M)
        boxes = np.concatenate((outline.min(1), outline.max(1)), 1)
        if self._keypoints is not None and len(self._keypoints) == len(boxes):
            moved = self._move(self._keypoints[..., :2], M)
            seen = self._keypoints[..., 2:] > 0
            low = np.where(seen, moved, np.inf).min(1)
            high = np.where(seen, moved, -np.inf).max(1)
            boxes = np.concatenate(
                (np.minimum(boxes[:, :2], low), np.maximum(boxes[:, 2:], high)), 1
            )
        return boxes.astype(bboxes.dtype)

    @staticmethod
    def _move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        homogeneous = np.concatenate((points, np.ones_like(points[..., :1])), -1) @ matrix.T
        return homogeneous[..., :2] / homogeneous[..., 2:]


class HandTurn(BaseTransform):
    """Turn a picture by a quarter, a half or three quarters; a turned hand keeps its side.

    Breaks the tie between side and the direction an arm comes from. Unlike a rotation by the
    affine, it leaves no black corners and keeps boxes exact. Pictures of rectangular batches
    (`rect=True`), which must keep their shape, turn by a half only.
    """

    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Turn the picture in `labels` with probability `p`."""
        if random.random() < self.p:
            height, width = labels["img"].shape[:2]
            quarters = random.randint(1, 3) if height == width else 2
            for _ in range(quarters):
                self._quarter(labels)
        return labels

    @staticmethod
    def _quarter(labels: dict[str, Any]) -> None:
        height, width = labels["img"].shape[:2]
        labels["img"] = np.ascontiguousarray(np.rot90(labels["img"]))
        instances = labels["instances"]
        instances.convert_bbox(format="xyxy")
        instances.denormalize(width, height)
        x1, y1, x2, y2 = instances.bboxes.T
        instances.bboxes[:] = np.stack((y1, width - x2, y2, width - x1), 1)
        if instances.keypoints is not None:
            x, y = instances.keypoints[..., 0].copy(), instances.keypoints[..., 1].copy()
            instances.keypoints[..., 0], instances.keypoints[..., 1] = y, width - x
        if "resized_shape" in labels:
            labels["resized_shape"] = (width, height)


class HandMask(BaseTransform):
    """Paint over random patches, as sleeves, cups and other hands do.

    Half of the patches are aimed at a hand. No patch may hide more than `MOST` of any hand, so a
    label never points at nothing. Keypoints under a patch become "occluded" (visibility 1): their
    place is still taught.
    """

    MOST = 0.5  # of the box of a hand
    PATCHES = 3  # at most
    TRIES = 3  # per patch

    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Mask the picture in `labels` with probability `p`."""
        if random.random() >= self.p:
            return labels
        image = np.ascontiguousarray(labels["img"])
        height, width = image.shape[:2]
        instances = labels["instances"]
        instances.convert_bbox(format="xyxy")
        instances.denormalize(width, height)
        boxes = instances.bboxes
        hidden = np.zeros(len(boxes))  # share of each hand that is covered, at worst
        for _ in range(random.randint(1, self.PATCHES)):
            for _ in range(self.TRIES):
                patch = self._patch(boxes, width, height)
                share = _covered_share(boxes, patch)
                if ((hidden + share) <= self.MOST).all():
                    hidden += share
                    _paint(image, patch)
                    _occlude(instances.keypoints, patch)
                    break
        labels["img"] = image
        return labels

    @staticmethod
    def _patch(boxes: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
        if len(boxes) and random.random() < 0.5:
            x1, y1, x2, y2 = random.choice(boxes)
            centre = random.uniform(x1, x2), random.uniform(y1, y2)
            size = [(b - a) * random.uniform(0.2, 0.8) for a, b in ((x1, x2), (y1, y2))]
        else:
            centre = random.uniform(0, width), random.uniform(0, height)
            size = [side * random.uniform(0.05, 0.4) for side in (width, height)]
        return (
            int(max(centre[0] - size[0] / 2, 0)),
            int(max(centre[1] - size[1] / 2, 0)),
            int(min(centre[0] + size[0] / 2, width)),
            int(min(centre[1] + size[1] / 2, height)),
        )


def with_hand_transforms(transforms: Compose, options: HandOptions, swap_sides: bool) -> Compose:
    """Put the hand transforms into a stock training pipeline, in place.

    Args:
        transforms: what `YOLODataset.build_transforms` made for training.
        options: which of them to use.
        swap_sides: False when the data set is trained as a single class, or as stock does.

    Raises:
        AssertionError: this Ultralytics builds its pipeline in another way.
    """
    steps = transforms.transforms
    flips = [i for i, step in enumerate(steps) if type(step) is RandomFlip]
    first = steps[0].transforms if isinstance(steps[0], Compose) else []
    affines = [i for i, step in enumerate(first) if type(step) is RandomPerspective]
    assert len(flips) == 2 and len(affines) == 1, f"ultralytics {__version__}: new v8_transforms"
    if swap_sides:
        for i in flips:
            steps[i] = HandFlip(steps[i].p, steps[i].direction, steps[i].flip_idx)
    if options.tighten_boxes:
        stock = first[affines[0]]
        first[affines[0]] = HandPerspective(
            degrees=stock.degrees,
            translate=stock.translate,
            scale=stock.scale,
            shear=stock.shear,
            perspective=stock.perspective,
            size=stock.size,
            preserve_obb=stock.preserve_obb,
        )
    if options.turn_prob:
        transforms.insert(-1, HandTurn(options.turn_prob))
    if options.mask_prob:
        transforms.insert(-1, HandMask(options.mask_prob))  # before Format
    return transforms


def _covered_share(boxes: np.ndarray, patch: tuple[int, int, int, int]) -> np.ndarray:
    low, high = np.maximum(boxes[:, :2], patch[:2]), np.minimum(boxes[:, 2:], patch[2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return np.clip(high - low, 0, None).prod(1) / np.maximum(area, 1e-6)


def _paint(image: np.ndarray, patch: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = patch
    area = image[y1:y2, x1:x2]
    if random.random() < 0.5:
        area[:] = np.random.randint(0, 256, image.shape[2])
    else:
        area[:] = np.random.randint(0, 256, area.shape)


def _occlude(keypoints: np.ndarray | None, patch: tuple[int, int, int, int]) -> None:
    if keypoints is None:
        return
    x, y = keypoints[..., 0], keypoints[..., 1]
    under = (x >= patch[0]) & (x < patch[2]) & (y >= patch[1]) & (y < patch[3])
    keypoints[..., 2] = np.where(under & (keypoints[..., 2] > 0), 1.0, keypoints[..., 2])
