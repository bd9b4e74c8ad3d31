"""``wilor-yolo data convert NAME``: a public data set to YOLO-pose labels or to shards."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ..errors import HandError
from .keys import choice, describe_keys, key, maybe, number, read_keys, text, whole, yes_no

if TYPE_CHECKING:
    from ..data.raw_hand import ReadReport
    from ..data.yolo_set import LabelledPicture

__all__ = ["HELP", "convert_set", "open_pictures"]

_FORMATS = (
    "freihand",
    "ho3d",
    "h2o3d",
    "interhand",
    "dexycb",
    "coco-wholebody",
    "halpe",
    "hamer-tars",
    "hamer-npz",
    "scenes",
    "oxford-hands",
    "egohands",
    "ultralytics-hands",
    "whim",
)
# The sets that a key is for, of those keys that not every set has a use for.
_ONLY = {
    "images": ("coco-wholebody", "halpe", "hamer-npz", "whim"),
    "source": ("hamer-tars", "hamer-npz"),
    "hand_model": ("freihand", "ho3d", "h2o3d", "interhand", "dexycb"),
    "hand_model_left": ("ho3d", "h2o3d", "interhand", "dexycb"),
}
_OF_SHARDS = ("source", "hand_model", "hand_model_left", "context", "largest")


@dataclass(frozen=True)
class SetKeys:
    """The keys of ``data convert NAME``."""

    format: str = key(..., choice(*_FORMATS), "the data set: " + ", ".join(_FORMATS))
    root: str = key(
        ...,
        text,
        "its folder; the annotation file of coco-wholebody, halpe and hamer-npz; tars, a folder "
        "of tars or a glob in quotes for hamer-tars",
    )
    out: str = key(..., text, "folder to write; splits and sets of a detector can share one")
    to: str = key(
        "detector",
        choice("detector", "reconstructor"),
        "detector: whole pictures with YOLO-pose labels; reconstructor: shards of single hands",
    )
    split: str = key(
        "train", choice("train", "val", "test"), "which to read, and the part it becomes"
    )
    images: str | None = key(
        None, maybe(text), "folder of the pictures where they lie apart", "beside the file"
    )
    source: str | None = key(
        None, maybe(text), "name of the set in the shards (hamer-*)", "from the path"
    )
    hand_model: str | None = key(
        None,
        maybe(text),
        "MANO_RIGHT .pkl or .npz: freihand, interhand and dexycb have hand parameters only with "
        "it; checks those of ho3d and h2o3d",
    )
    hand_model_left: str | None = key(
        None, maybe(text), "MANO_LEFT, for left hands of interhand, dexycb, ho3d and h2o3d"
    )
    context: float = key(3.0, number(1), "side of the stored crop over that of the hand box")
    largest: int = key(384, whole(32), "px; larger crops are shrunk to this side")
    limit: int | None = key(
        None, maybe(whole(1)), "stop after so many pictures, or hands (to=reconstructor)"
    )
    strict: bool = key(False, yes_no, "stop at the first broken sample instead of skipping it")


HELP = f"""\
convert NAME (or format=NAME): a public data set; source, hand_model, hand_model_left, context and
largest are for to=reconstructor; see docs/datasets.md
{describe_keys(SetKeys)}
"""


def convert_set(args: Sequence[str]) -> int:
    """Convert; the exit code is 1 when broken samples were skipped."""
    options = read_keys(SetKeys, args, "data convert")
    _refuse_unused(options)
    from ..data.raw_hand import ReadReport

    report = ReadReport(options.strict)
    report.on_fault = lambda message: (
        print(f"BAD {message}", file=sys.stderr) if report.fault_count <= _SHOWN else None
    )
    written = (
        _to_detector(options, report) if options.to == "detector" else _to_shards(options, report)
    )
    print(report)
    if written is not None:
        print(written)
    return 1 if report.fault_count or written is None else 0


def _refuse_unused(options: SetKeys) -> None:
    given = [f.name for f in fields(options) if getattr(options, f.name) != f.default]
    for name in given:
        if options.to == "detector" and name in _OF_SHARDS:
            raise HandError(f"{name}= is for to=reconstructor; leave it out.")
        if options.format not in _ONLY.get(name, _FORMATS):
            raise HandError(f"{name}= is for {', '.join(_ONLY[name])}; leave it out.")


def _to_detector(options: SetKeys, report: ReadReport) -> str | None:
    from ..data.yolo_set import write_yolo_set

    pictures = open_pictures(options.format, options.root, options.split, options.images, report)
    yaml = write_yolo_set(pictures, options.out, options.split, report, options.limit)
    return None if yaml is None else f"Check with: wilor-yolo data check source={yaml}"


def open_pictures(
    format: str,
    root: str,
    split: str,
    images: str | None,
    report: ReadReport,
    own_boxes: bool = False,
) -> Iterator[LabelledPicture]:
    """The pictures of any set a detector can be trained or measured on."""
    from ..data.detection_formats import read_pictures
    from ..data.formats import SetOptions
    from ..data.hand_pictures import pictures_of_hands

    if format == "whim":
        from .whim_set import read_whim

        # Boxes are what a detector needs most; joints of a fit may be off.
        hands = read_whim(root, report, split, images, need_joints=False)
        return pictures_of_hands(hands, report)
    return read_pictures(SetOptions(format, root, split, images, own_boxes=own_boxes), report)


def _to_shards(options: SetKeys, report: ReadReport) -> str | None:
    from ..data.formats import FORMATS, SetOptions, read_set, write_set
    from ..data.mano_labels import ManoModels
    from ..data.raw_hand import CutOptions

    if options.format == "whim":
        from .whim_set import read_whim

        hands = read_whim(options.root, report, options.split, options.images)
    elif options.format not in FORMATS:
        raise HandError(f"{options.format} has hands without joints or sides; use to=detector.")
    else:
        models = ManoModels.load(options.hand_model, options.hand_model_left)
        chosen = SetOptions(
            options.format, options.root, options.split, options.images, options.source, models
        )
        hands = read_set(chosen, report)
    cut = CutOptions(options.context, options.largest)
    paths = write_set(hands, options.out, report, cut, limit=options.limit)
    return f"{len(paths)} shards: {paths[0].parent}" if paths else None


_SHOWN = 20
