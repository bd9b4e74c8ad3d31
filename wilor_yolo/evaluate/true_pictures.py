"""Pictures whose hands are known, whatever data set they come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..geometry import HALF_PIXEL
from ..metrics.detection import UNKNOWN, PictureHands, best_pairs, box_iou
from ..records import PictureRecord, read_records
from ..skeleton import NUM_JOINTS

__all__ = ["TruePicture", "pictures_of_records", "true_hands"]

_SURE = 0.9
_INSIDE_IOU = 0.25


@dataclass(frozen=True)
class TruePicture:
    """A picture file and its true hands.

    Attributes:
        file: the picture.
        source: name of the set; results are tabulated by it.
        hands: the true hands.
        complete: whether they are all; if not, only what was missed can be judged.
    """

    file: Path
    source: str
    hands: PictureHands
    complete: bool = True


def pictures_of_records(folder: str | Path) -> list[TruePicture]:
    """The pictures of a folder with `labels.jsonl` (see `records.py`) whose hands are known.

    Raises:
        HandError: `labels.jsonl` is missing or malformed.
    """
    return list(_known(read_records(folder)))


def _known(records: Iterable[PictureRecord]) -> Iterable[TruePicture]:
    for record in records:
        truth = true_hands(record)
        if truth is not None:
            yield TruePicture(record.file, record.source, *truth)


def true_hands(record: PictureRecord) -> tuple[PictureHands, bool] | None:
    """The true hands of a picture and whether they are all of them; None when nobody knows.

    Boxes are people's, or the box of measured joints. Side and keypoints of a boxed hand are those
    an annotator network found in it when it was sure (score above 0.9): they measure agreement
    with that network, not truth.
    """
    if record.true_hand is not None:
        hand = record.true_hand
        box = hand.box[None] + HALF_PIXEL  # it is drawn around joints that K projected
        true = PictureHands(box, np.array([hand.side]), None, hand.keypoints[None])
        return true, True
    if record.boxes is None:
        if record.found is not None:
            return None
        return PictureHands(np.zeros((0, 4)), np.zeros(0, int)), True
    sides = np.full(len(record.boxes), UNKNOWN)
    keypoints = np.full((len(record.boxes), NUM_JOINTS, 2), np.nan)
    sure = [hand for hand in record.found or () if hand.score > _SURE]
    overlaps = box_iou(record.boxes, np.array([h.box for h in sure]).reshape(-1, 4))
    for row, column in best_pairs(overlaps, _INSIDE_IOU):
        sides[row], keypoints[row] = sure[column].side, sure[column].keypoints
    return PictureHands(record.boxes, sides, None, keypoints), record.boxes_complete
