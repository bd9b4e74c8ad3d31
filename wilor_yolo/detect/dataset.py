"""Hand pictures with YOLO-pose labels, for training and validation.

A label row is `class cx cy w h` and 21 times `x y visibility`, all normalised. Class 0 is left,
1 is right, 2 is a hand of unknown side (see `sides.py`). Visibility 0 means the place of a keypoint
is unknown, 1 occluded, 2 visible; a hand without known keypoints has 63 zeros. In a set of one
class, declared with `sides: unknown`, class 0 is a hand of unknown side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ultralytics.data.augment import Compose
from ultralytics.data.dataset import DATASET_CACHE_VERSION, YOLODataset
from ultralytics.data.utils import get_split_fraction
from ultralytics.utils import IterableSimpleNamespace, colorstr

from ..errors import HandError
from ..evenly import evenly
from ..skeleton import NUM_JOINTS, SIDE_NAMES
from .augment import with_hand_transforms
from .label_cache import read_label_cache
from .label_files import first_label_fault
from .options import HandOptions
from .sides import UNKNOWN_SIDE, UNSURE_CLASS

__all__ = [
    "HandDataset",
    "build_hand_dataset",
    "check_hand_data",
    "refuse_reflections",
    "with_both_sides",
]

_FAULTS_NAMED = 3  # of bad label files


def check_hand_data(data: Mapping[str, Any], single_cls: bool = False) -> None:
    """Check a data YAML that Ultralytics has read.

    Args:
        data: its content.
        single_cls: the names were replaced by one, because all hands are trained as one class.

    Raises:
        HandError: it does not describe left and right hands with 21 keypoints, or it has the key
            `flip_idx`, with which a stock training mirrors pictures and keeps "left" a left hand.
    """
    where = data.get("yaml_file", "the data YAML")
    names = data.get("names") or {}
    names = dict(enumerate(names)) if isinstance(names, (list, tuple)) else dict(names)
    if "sides" in data and data["sides"] != "unknown":
        raise HandError(f"{where}: sides: {data['sides']} should be `unknown`, or left out")
    one_class = data.get("sides") == "unknown" and list(names) == [0]
    if (
        not (one_class or single_cls)
        and {int(k): str(v).lower() for k, v in names.items()} != SIDE_NAMES
    ):
        hint = ""
        if len(names) == 1:
            hint = "; if nobody knows which hands are left, add the line `sides: unknown`"
        raise HandError(f"{where}: names must be {SIDE_NAMES}, not {data.get('names')}{hint}")
    if list(data.get("kpt_shape") or ()) != [NUM_JOINTS, 3]:
        raise HandError(
            f"{where}: kpt_shape must be [{NUM_JOINTS}, 3], not {data.get('kpt_shape')}"
        )
    if "flip_idx" in data:
        raise HandError(
            f"{where}: remove flip_idx; mirroring a hand swaps its class and keeps the keypoint "
            "order, which wilor_yolo does without it and stock Ultralytics does not do"
        )


def with_both_sides(data: dict[str, Any]) -> dict[str, Any]:
    """A data YAML of one class, declared side-unknown, as one of two classes; others as they are.

    The key `sides: unknown` stays, and tells :class:`HandDataset` how to read the label files.
    """
    if data.get("sides") != "unknown":
        return data
    return {**data, "names": dict(SIDE_NAMES), "nc": len(SIDE_NAMES)}


_MIRRORS = "Flip|HorizontalFlip|VerticalFlip|Transpose|D4|SquareSymmetry"  # Albumentations'


def refuse_reflections(augmentations: object) -> None:
    """Check Albumentations transforms, given as objects or as their dicts.

    Raises:
        HandError: one of them mirrors pictures; it would leave the classes as they are.
    """
    if mirror := re.search(rf"\b({_MIRRORS})\b", repr(augmentations)):
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
        single = bool(settings.get("single_cls"))
        check_hand_data(data, single)
        data = data if single else with_both_sides(data)
        self._options = options
        self._one_class = data.get("sides") == "unknown" and not single
        self._suspects: list[str] = []  # label files of pictures that the scan refused
        # Stock transforms switch mirroring off without flip_idx. Ours is the identity, on a copy,
        # so that it reaches no checkpoint and no YAML.
        super().__init__(data={**data, "flip_idx": list(range(NUM_JOINTS))}, **settings)

    def build_transforms(self, hyp: IterableSimpleNamespace) -> Compose:
        """The stock pipeline with the hand transforms in it; called again by `close_mosaic`."""
        refuse_reflections(getattr(hyp, "augmentations", None))
        transforms = super().build_transforms(hyp)
        if self.augment:
            swap = not (self.single_cls or self._options.stock_flips)
            with_hand_transforms(transforms, self._options, swap_sides=swap)
        return transforms

    def close_mosaic(self, hyp: IterableSimpleNamespace) -> None:
        """As stock, for the last epochs; with `straight_end` without rotation too."""
        if self._options.straight_end:
            hyp.degrees = 0.0
        super().close_mosaic(hyp)

    def get_img_files(self, img_path: str | list[str]) -> list[str]:
        """As stock, but `fraction` is spread evenly over the sorted files.

        Stock takes the beginning of the list, which may all be of one source.
        """
        share, self.fraction = self.fraction, 1.0
        try:
            files = super().get_img_files(img_path)
        except FileNotFoundError as error:
            raise HandError(_one_line(error.__cause__ or error)) from error
        self.fraction = share
        count = share if isinstance(share, int) else max(1, round(len(files) * share))
        return evenly(files, count)

    def cache_labels(self, path: Path = Path("./labels.cache")) -> dict[str, Any]:
        """As stock, but a bad label is an error; stock leaves such pictures out and trains on.

        Raises:
            HandError: names the first bad label files, and says how many there are.
        """
        self._suspects = []
        try:
            cache = super().cache_labels(path)
        except ValueError as error:  # no picture has a label file
            raise HandError(_one_line(error)) from error
        classes = 1 if self._one_class else UNKNOWN_SIDE + 1
        faults = [fault for file in self._suspects if (fault := first_label_fault(file, classes))]
        if faults:
            path.unlink(missing_ok=True)  # else the next training would not look again
            more = len(faults) - _FAULTS_NAMED
            raise HandError(
                "; ".join(faults[:_FAULTS_NAMED])
                + (f"; and {more} more label files" if more > 0 else "")
                + " (`wilor-yolo data check` lists all)"
            )
        return cache

    def _load_or_scan_cache(self, cache_path: Path, cache_hash: str) -> tuple[dict[str, Any], bool]:
        """As stock, but a cache is read without running it; stock unpickles whatever is there."""
        cache = read_label_cache(cache_path)
        known = (DATASET_CACHE_VERSION, cache_hash)
        if cache and (cache.get("version"), cache.get("hash")) == known:
            return cache, True
        return self.cache_labels(cache_path), False

    def verify_args(self) -> tuple[Any, Iterable[tuple[Any, ...]]]:
        """As stock, with one more class id allowed in label files: UNKNOWN_SIDE."""
        verify, rows = super().verify_args()

        def checked(row: tuple[Any, ...]) -> Any:
            result = verify(row)
            if result[0] is None:
                self._suspects.append(row[1])
            return result

        classes = 1 if self._one_class else UNKNOWN_SIDE + 1
        return checked, ((*row[:4], classes, *row[5:]) for row in rows)

    def result_to_label(self, result: list[Any]) -> tuple[Any, ...]:
        """As stock, with UNKNOWN_SIDE turned into UNSURE_CLASS."""
        label, *counts = super().result_to_label(result)
        if label is not None:
            unknown = True if self._one_class else label["cls"] == UNKNOWN_SIDE
            label["cls"][unknown] = UNSURE_CLASS
        return label, *counts

    def get_cache_hash(self) -> str:
        """Its own hash: a cache scanned by stock lacks unknown sides, and hides bad labels."""
        kind = "one-class" if self._one_class else "hands"
        return f"checked-{kind}-{super().get_cache_hash()}"


def _one_line(error: BaseException) -> str:
    """Ultralytics' message without colours and links."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return " ".join(re.sub(r"See https?://\S+ for .*", "", plain, flags=re.DOTALL).split())


def build_hand_dataset(
    cfg: SimpleNamespace,
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
