"""Hand pictures with YOLO-pose labels, for training and validation.

A label row is `class cx cy w h` and 21 times `x y visibility`, all normalised. Class 0 is left,
1 is right, 2 is a hand of unknown side (see `sides.py`). Visibility 0 means the place of a keypoint
is unknown, 1 occluded, 2 visible; a hand without known keypoints has 63 zeros.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ultralytics.data.augment import Compose
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import get_split_fraction
from ultralytics.utils import IterableSimpleNamespace, colorstr

from ..errors import HandError
from ..skeleton import NUM_JOINTS, SIDE_NAMES
from .augment import with_hand_transforms
from .options import HandOptions
from .sides import UNKNOWN_SIDE, UNSURE_CLASS

__all__ = ["HandDataset", "build_hand_dataset", "check_hand_data", "refuse_reflections"]


def check_hand_data(data: Mapping[str, Any]) -> None:
    """Check a data YAML that Ultralytics has read.

    Raises:
        HandError: it does not describe left and right hands with 21 keypoints, or it has the key
            `flip_idx`, with which a stock training mirrors pictures and keeps "left" a left hand.
    """
    where = data.get("yaml_file", "the data YAML")
    names = {int(k): str(v).lower() for k, v in dict(data.get("names") or {}).items()}
    if names != SIDE_NAMES:
        raise HandError(f"{where}: names must be {SIDE_NAMES}, not {data.get('names')}")
    if list(data.get("kpt_shape") or ()) != [NUM_JOINTS, 3]:
        raise HandError(
            f"{where}: kpt_shape must be [{NUM_JOINTS}, 3], not {data.get('kpt_shape')}"
        )
    if "flip_idx" in data:
        raise HandError(
            f"{where}: remove flip_idx; mirroring a hand swaps its class and keeps the keypoint "
            "order, which wilor_yolo does without it and stock Ultralytics does not do"
        )


def refuse_reflections(augmentations: object) -> None:
    """Check Albumentations transforms, given as objects or as their dicts.

    Raises:
        HandError: one of them mirrors pictures; it would leave the classes as they are.
    """
    if mirror := re.search(r"\b(HorizontalFlip|VerticalFlip|Transpose|D4)\b", repr(augmentations)):
        raise HandError(
            f"augmentations: {mirror[1]} mirrors hands without swapping left and right; "
            "use fliplr= or flipud="
        )


class HandDataset(YOLODataset):
    """YOLODataset with hand augmentations and hands of unknown side.

    Args:
        data: the checked data YAML.
        options: the detector's own training options.
        settings: everything else `YOLODataset` takes.
    """

    def __init__(self, *, data: dict[str, Any], options: HandOptions, **settings: Any) -> None:
        check_hand_data(data)
        self._options = options
        # Stock transforms switch mirroring off without flip_idx. Ours is the identity, on a copy,
        # so that it reaches no checkpoint and no YAML.
        super().__init__(data={**data, "flip_idx": list(range(NUM_JOINTS))}, **settings)

    def build_transforms(self, hyp: IterableSimpleNamespace) -> Compose:
        """The stock pipeline with the hand transforms in it; called again by `close_mosaic`."""
        refuse_reflections(getattr(hyp, "augmentations", None))
        transforms = super().build_transforms(hyp)
        if self.augment:
            with_hand_transforms(transforms, self._options, swap_sides=not self.single_cls)
        return transforms

    def verify_args(self) -> tuple[Any, Iterable[tuple[Any, ...]]]:
        """As stock, with one more class id allowed in label files: UNKNOWN_SIDE."""
        verify, rows = super().verify_args()
        return verify, ((*row[:4], UNKNOWN_SIDE + 1, *row[5:]) for row in rows)

    def result_to_label(self, result: list[Any]) -> tuple[Any, ...]:
        """As stock, with UNKNOWN_SIDE turned into UNSURE_CLASS."""
        label, *counts = super().result_to_label(result)
        if label is not None:
            label["cls"][label["cls"] == UNKNOWN_SIDE] = UNSURE_CLASS
        return label, *counts

    def get_cache_hash(self) -> str:
        """Its own hash, because a cache scanned by stock Ultralytics lacks unknown sides."""
        return f"hands-{super().get_cache_hash()}"


def build_hand_dataset(
    cfg: IterableSimpleNamespace,
    img_path: str | list[str],
    batch: int | None,
    data: dict[str, Any],
    options: HandOptions,
    *,
    mode: str,
    rect: bool,
    stride: int,
) -> HandDataset:
    """What `ultralytics.data.build_yolo_dataset` does for pose, with our class.

    Args:
        cfg: training or validation arguments.
        img_path: folder or list file of pictures.
        batch: pictures a batch, for rectangular batches.
        data: the data YAML.
        options: the detector's own options.
        mode: "train" augments, anything else does not.
        rect: rectangular batches.
        stride: largest stride of the model.
    """
    training = mode == "train"
    return HandDataset(
        img_path=img_path,
        imgsz=cfg.imgsz,
        batch_size=batch,
        augment=training,
        hyp=cfg,
        rect=cfg.rect or rect,
        cache=cfg.cache or None,
        single_cls=cfg.single_cls or False,
        stride=stride,
        pad=0.0 if training else 0.5,
        prefix=colorstr(f"{mode}: "),
        task=cfg.task,
        classes=cfg.classes,
        data=data,
        fraction=get_split_fraction(cfg.fraction, "train" if training else cfg.split),
        options=options,
    )
