"""COCO-WholeBody (Jin et al. 2020) and Halpe full body (Fang et al. 2022) -> `RawHand`.

Both are one COCO-style JSON: `images` (`id`, `file_name`, maybe `width`, `height`) and
`annotations` (`id`, `image_id`, ...). 2D keypoints only, px, already in our order, sides by field.

COCO-WholeBody: `lefthand_kpts`, `righthand_kpts` (21 times x, y, score; 0 means not labelled),
`lefthand_box` (x, y, width, height: the bare rectangle of the keypoints), `lefthand_valid`.
Halpe: `keypoints` 136 times x, y, v: 94 to 114 the left hand, 115 to 135 the right one; no boxes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset_files import read_json_file
from ..errors import HandError
from .raw_hand import LeftOut, RawHand, ReadReport, sample_key

__all__ = ["read_coco_wholebody", "read_halpe"]

_LEAST_KEYPOINTS = 5  # HaMeR keeps hands with more than four
_PAD = 0.10  # of the larger side: their boxes are bare rectangles of keypoints
_HALPE_LEFT, _HALPE_RIGHT, _HALPE_POINTS = 94, 115, 136

_Labels = tuple[np.ndarray, "np.ndarray | None"]  # keypoints (21, 3), box xyxy


def read_coco_wholebody(
    root: str | Path,
    report: ReadReport,
    images: str | Path | None = None,
    own_boxes: bool = False,
) -> Iterator[RawHand]:
    """All valid hands of one annotation file.

    Args:
        root: the JSON file.
        report: takes the broken samples.
        images: folder of the COCO pictures; beside the file by default.
        own_boxes: boxes as the set has them, to be scored against, however few keypoints are
            labelled; else 10 % wider.

    Raises:
        HandError: the file is missing, damaged or another one.
    """
    labels_of = partial(_wholebody, margin=0.0 if own_boxes else _PAD)
    least = 0 if own_boxes else _LEAST_KEYPOINTS  # a box alone can be scored against
    return _read(Path(root), report, images, "cocow", labels_of, _wholebody_shows, least)


def read_halpe(
    root: str | Path, report: ReadReport, images: str | Path | None = None
) -> Iterator[RawHand]:
    """All hands of one annotation file; `images`: HICO-DET (train) or COCO val2017 pictures."""
    return _read(Path(root), report, images, "halpe", _halpe, _halpe_shows)


def _read(
    label: Path,
    report: ReadReport,
    images: str | Path | None,
    source: str,
    labels_of: Callable[[dict[str, Any], bool], _Labels],
    hands_of: Callable[[dict[str, Any]], int],
    least: int = _LEAST_KEYPOINTS,
) -> Iterator[RawHand]:
    data = read_json_file(label)
    if not isinstance(data, dict) or "images" not in data or "annotations" not in data:
        raise HandError(f"{label} has no images and annotations; give the annotation file.")
    folder = label.parent if images is None else Path(images)
    pictures = {image["id"]: image for image in data["images"]}
    shown: Counter[Any] = Counter()
    for annotation in data["annotations"]:
        shown[annotation.get("image_id")] += hands_of(annotation)
    # Hands of one picture together: it is then decoded once.
    for annotation in sorted(data["annotations"], key=lambda a: str(a.get("image_id"))):
        for is_right in (False, True):
            side = "right" if is_right else "left"
            key = sample_key(source, annotation.get("image_id"), annotation.get("id"), side)
            hand = None
            with report.guard(f"{label}: sample {key}"):
                picture = pictures[annotation["image_id"]]
                keypoints, box = labels_of(annotation, is_right)
                if (keypoints[:, 2] > 0).sum() < least:
                    raise LeftOut(f"hands with fewer than {least} keypoints")
                size = picture.get("width"), picture.get("height")
                hand = RawHand(
                    key=key,
                    source=source,
                    label=label,
                    picture=folder / picture["file_name"],
                    is_right=is_right,
                    keypoints_2d=keypoints,
                    box=box,
                    size=(int(size[0]), int(size[1])) if all(size) else None,
                    hands_shown=shown[annotation["image_id"]],
                )
            if hand is not None:
                yield hand


def _wholebody(annotation: dict[str, Any], is_right: bool, margin: float) -> _Labels:
    name = "righthand" if is_right else "lefthand"
    if not annotation[f"{name}_valid"]:
        raise LeftOut("hands not marked as valid")
    keypoints = np.array(annotation[f"{name}_kpts"], np.float64).reshape(21, 3)
    x, y, width, height = np.array(annotation[f"{name}_box"], np.float64).reshape(4)
    pad = margin * max(width, height)
    box = np.array([x - pad, y - pad, x + width + pad, y + height + pad])
    return _clipped(keypoints), box


def _wholebody_shows(annotation: dict[str, Any]) -> int:
    return sum(bool(annotation.get(f"{side}hand_valid")) for side in ("left", "right"))


def _halpe_shows(annotation: dict[str, Any]) -> int:
    points = annotation.get("keypoints", ())
    if len(points) != 3 * _HALPE_POINTS:
        return 2  # a broken one
    hands = (points[3 * first + 2 : 3 * (first + 21) : 3] for first in (_HALPE_LEFT, _HALPE_RIGHT))
    return sum(any(score > 0 for score in scores) for scores in hands)


def _halpe(annotation: dict[str, Any], is_right: bool) -> _Labels:
    points = np.array(annotation["keypoints"], np.float64)
    if points.size != 3 * _HALPE_POINTS:
        raise HandError(f"{points.size} keypoint values; Halpe full body has 3 * {_HALPE_POINTS}")
    first = _HALPE_RIGHT if is_right else _HALPE_LEFT
    return _clipped(points.reshape(-1, 3)[first : first + 21]), None


def _clipped(keypoints: np.ndarray) -> np.ndarray:
    """Scores above 1 (COCO's "visible" is 2) are 1."""
    keypoints = keypoints.copy()
    keypoints[:, 2] = np.clip(keypoints[:, 2], 0, 1)
    return keypoints
