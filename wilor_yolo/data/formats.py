"""Public data sets by name -> shards of `HandSample`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import HandError
from ..shards import SAMPLES_PER_SHARD, ShardWriter
from .coco_hands import read_coco_wholebody, read_halpe
from .dexycb import read_dexycb
from .freihand import read_freihand
from .hamer_filters import HamerFilters
from .hamer_npz import read_hamer_npz
from .hamer_tars import read_hamer_tars
from .ho3d import read_h2o3d, read_ho3d
from .interhand import read_interhand
from .mano_labels import ManoModels
from .raw_hand import CutOptions, RawHand, ReadReport, to_sample
from .scenes import read_scenes

__all__ = ["FORMATS", "SetOptions", "read_set", "write_set"]

FORMATS = (
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
)


@dataclass(frozen=True)
class SetOptions:
    """Where a set lies and what to take of it.

    Attributes:
        format: one of `FORMATS`.
        root: its folder; the annotation file of COCO-WholeBody, Halpe and `.npz` sets; tars or a
            pattern for ``"hamer-tars"``.
        split: for sets that have splits.
        images: folder of the pictures, where they lie apart from the labels.
        source: another name for the set (HaMeR's files only).
        models: the user's MANO models.
        filters: of HaMeR's files.
        own_boxes: the boxes of COCO-WholeBody without our margin.
    """

    format: str
    root: str
    split: str = "train"
    images: str | None = None
    source: str | None = None
    models: ManoModels = field(default_factory=ManoModels)
    filters: HamerFilters = field(default_factory=HamerFilters)
    own_boxes: bool = False


def read_set(options: SetOptions, report: ReadReport) -> Iterator[RawHand]:
    """The hands of a set; broken ones go to `report`.

    Raises:
        HandError: an unknown format, or nothing of the kind at `root`.
    """
    root, split, models = options.root, options.split, options.models
    with_splits = {
        "freihand": read_freihand,
        "ho3d": read_ho3d,
        "h2o3d": read_h2o3d,
        "interhand": read_interhand,
        "dexycb": read_dexycb,
    }
    splits = {"freihand": ("train", "test")}.get(options.format, ("train", "val", "test"))
    if options.format in with_splits:
        if split not in splits:
            raise HandError(f"split={split}: {options.format} has {', '.join(splits)}.")
        return with_splits[options.format](root, report, split, models)
    if options.format == "coco-wholebody":
        return read_coco_wholebody(root, report, options.images, options.own_boxes)
    if options.format == "halpe":
        return read_halpe(root, report, options.images)
    if options.format == "hamer-tars":
        return read_hamer_tars(root, report, options.source, options.filters)
    if options.format == "hamer-npz":
        return read_hamer_npz(root, report, options.images, options.source, options.filters)
    if options.format == "scenes":
        return read_scenes(root, report)
    raise HandError(f"format={options.format} is unknown; use one of {', '.join(FORMATS)}.")


def write_set(
    hands: Iterable[RawHand],
    out: str | Path,
    report: ReadReport,
    cut: CutOptions | None = None,
    prefix: str = "hands",
    per_shard: int = SAMPLES_PER_SHARD,
    limit: int | None = None,
) -> list[Path]:
    """Cut every hand out of its picture and write shards.

    Args:
        hands: from :func:`read_set`.
        out: folder of the shards; it must hold none of this prefix yet.
        report: takes broken samples; counts the written ones.
        cut: size of the crops.
        prefix: of the shards' names.
        per_shard: samples a shard.
        limit: stop after so many.

    Returns:
        The shards.

    Raises:
        HandError: shards are there already; the disk is full; or, when strict, a broken sample.
    """
    out = Path(out)
    if next(out.glob(f"{prefix}-*.tar"), None) is not None:
        raise HandError(f"{out} holds shards already; give another folder with out=.")
    try:
        with ShardWriter(out, prefix, per_shard) as writer:
            for hand in hands:
                with report.guard(hand.name):
                    writer.add(to_sample(hand, cut))
                    report.hands[hand.source] += 1
                    if limit is not None and report.hands.total() >= limit:
                        break
    except OSError as error:  # the unfinished shard is gone, the finished ones are good
        if error.filename is not None:  # not about writing the shard
            raise
        raise HandError(f"{out} cannot be written to ({error.strerror or error}).") from None
    return writer.paths
