"""``wilor-yolo data convert format=...``: a public data set to shards."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from .keys import choice, describe_keys, key, maybe, number, read_keys, text, whole, yes_no

__all__ = ["HELP", "convert_set"]

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
    "whim",
)


@dataclass(frozen=True)
class SetKeys:
    """The keys of ``data convert format=...``."""

    format: str = key(..., choice(*_FORMATS), "the data set: " + ", ".join(_FORMATS))
    root: str = key(
        ...,
        text,
        "its folder; the annotation file of coco-wholebody, halpe and hamer-npz; tars, a folder "
        "of tars or a glob in quotes for hamer-tars",
    )
    out: str = key(..., text, "folder for the shards")
    split: str = key("train", choice("train", "val", "test"), "for sets that have splits")
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
        None, maybe(text), "MANO_LEFT, for left hands of interhand and dexycb"
    )
    context: float = key(3.0, number(1), "side of the stored crop over that of the hand box")
    largest: int = key(384, whole(32), "px; larger crops are shrunk to this side")
    limit: int | None = key(None, maybe(whole(1)), "stop after so many hands")
    strict: bool = key(False, yes_no, "stop at the first broken sample instead of skipping it")


HELP = f"""\
convert format=...: a public data set to shards of single hands; see docs/datasets.md
{describe_keys(SetKeys)}
"""


def convert_set(args: Sequence[str]) -> int:
    """Convert; the exit code is 1 when broken samples were skipped."""
    options = read_keys(SetKeys, args, "data convert")
    from ..data.formats import SetOptions, read_set, write_set
    from ..data.mano_labels import ManoModels
    from ..data.raw_hand import CutOptions, ReadReport

    chosen = SetOptions(
        options.format,
        options.root,
        options.split,
        options.images,
        options.source,
        ManoModels.load(options.hand_model, options.hand_model_left),
    )
    report = ReadReport(options.strict)
    report.on_fault = lambda message: (
        print(f"BAD {message}", file=sys.stderr) if report.fault_count <= _SHOWN else None
    )
    if options.format == "whim":
        from .whim_set import read_whim

        hands = read_whim(options.root, report, options.split, options.images)
    else:
        hands = read_set(chosen, report)
    paths = write_set(
        hands,
        options.out,
        report,
        CutOptions(options.context, options.largest),
        limit=options.limit,
    )
    print(report)
    if paths:
        print(f"{len(paths)} shards: {paths[0].parent}")
    return 1 if report.fault_count or not paths else 0


_SHOWN = 20
