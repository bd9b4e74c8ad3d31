"""Annotated pictures (a `labels.jsonl` beside them) -> shards of `HandSample`.

Every hand the annotator network found becomes a context crop with 2D keypoints, a weak guess of
its 3D joints and its side; there are no hand parameters. The layout is that of
:mod:`wilor_yolo.records`.

`world_m` are metres around the hand's centre with axes parallel to the camera's, right in pose to
some degrees and in size to some ten percent: they are stored with a low
`keypoints_3d_confidence`, so that the loss counts them little and validation not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import HandError
from ..images import read_image
from ..metrics.detection import box_iou
from ..records import (
    AnnotatedHand,
    PictureRecord,
    read_records,
    require_one_of_a_name,
    train_and_val,
)
from ..samples import HandSample
from ..shards import ShardWriter
from ..skeleton import RIGHT
from .raw_hand import sample_key
from .window import Window

__all__ = ["CropSummary", "convert_hand_crops"]

_PREFIX = "real"  # of the shards' names
CONTEXT = 2.2  # side of the stored square over the longer side of the hand box
LARGEST = 256  # px, side of the stored square
LEAST_SCORE = 0.6  # hands the annotator is less sure of are left out
LEAST_SIZE = 24  # px; smaller hands show nothing
WEAK_3D = 0.15  # keypoints_3d_confidence of the annotator's guess
# A box drawn by people that overlaps the keypoints' box by less than this is another hand.
LEAST_IOU = 0.3
CONTRADICTED = 0.5  # confidence is multiplied by this when people boxed no hand there


@dataclass
class CropSummary:
    """Counts per source: `hands` written, and why others were left out."""

    train: Counter[str] = field(default_factory=Counter)
    val: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        lines = [f"{'source':20s}{'train':>8s}{'val':>8s}"]
        for source in sorted(set(self.train) | set(self.val)):
            lines.append(f"{source:20s}{self.train[source]:8d}{self.val[source]:8d}")
        lines.append(f"{'all':20s}{self.train.total():8d}{self.val.total():8d}")
        lines += [f"left out: {count} {why}" for why, count in sorted(self.left_out.items())]
        return "\n".join(lines)


def convert_hand_crops(
    source: str | Path,
    train: str | Path,
    val: str | Path | None = None,
    val_share: float = 1 / 12,
) -> CropSummary:
    """Write shards of single hands.

    `val` gets the pictures that :func:`.pictures.convert_pictures` validates on too
    (:func:`..records.train_and_val`).

    Args:
        source: folder with `labels.jsonl`.
        train, val: folders for the shards; without `val` everything goes to `train`.
        val_share: 0 to 1.

    Raises:
        HandError: no or bad `labels.jsonl`, two pictures of one name, or a folder that holds such
            shards already.
        ImageError: a picture that cannot be read.
    """
    every = read_records(source)
    require_one_of_a_name(every)
    for folder in (train, val):
        if folder is not None and next(Path(folder).glob(f"{_PREFIX}-*.tar"), None) is not None:
            raise HandError(f"{folder} holds shards already; give another folder with out=.")
    summary = CropSummary()
    splits = train_and_val(every, val_share if val else 0)
    for split, folder, counts in (
        ("train", train, summary.train),
        ("val", val, summary.val),
    ):
        if folder is None:
            continue
        with ShardWriter(folder, _PREFIX) as writer:
            for record in splits[split]:
                for sample in _hands_of(record, summary.left_out):
                    writer.add(sample)
                    counts[sample.source] += 1
    return summary


def _hands_of(record: PictureRecord, left_out: Counter[str]) -> Iterator[HandSample]:
    if not record.found:
        return
    image = read_image(record.file)
    for i, hand in enumerate(record.found):
        side = float((hand.box[2:] - hand.box[:2]).max())
        if hand.score < LEAST_SCORE:
            left_out["hands below the least score"] += 1
            continue
        if side < LEAST_SIZE:
            left_out["hands too small"] += 1
            continue
        confidence = min(hand.score, 1.0)
        if record.boxes_complete and not _is_boxed(hand, record.boxes):
            # Nobody drew a hand here: most are doubled or misplaced.
            confidence *= CONTRADICTED
        key = sample_key(record.file.stem, i)
        yield _cut(image, hand, confidence, record.source, key)


def _cut(
    image: np.ndarray, hand: AnnotatedHand, confidence: float, source: str, key: str
) -> HandSample:
    height, width = image.shape[:2]
    box = hand.box
    side = float((box[2:] - box[:2]).max())
    window = Window.around((box[:2] + box[2:]) / 2, CONTEXT * side, width, height)
    context, ratios = window.take(image, LARGEST)
    labelled = np.full((21, 3), confidence, np.float32)
    labelled[:, :2] = window.move(hand.keypoints, ratios)
    return HandSample(
        image=context,
        is_right=hand.side == RIGHT,
        bbox_xyxy=window.move(box.reshape(2, 2), ratios).reshape(4).astype(np.float32),
        keypoints_2d=labelled,
        source=source,
        key=key,
        keypoints_3d=hand.guessed_3d,
        keypoints_3d_confidence=WEAK_3D,
    )


def _is_boxed(hand: AnnotatedHand, boxes: np.ndarray | None) -> bool:
    return boxes is not None and bool((box_iou(hand.box[None], boxes) >= LEAST_IOU).any())
