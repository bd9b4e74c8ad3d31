"""Annotated pictures (see `records.py`) -> a YOLO-pose data set the detector trains on.

What becomes a label:

* Every human box is a hand. The hand an annotator network found in it gives its side and keypoints;
  a box nobody vouches for keeps no keypoints and the class `UNKNOWN_SIDE`.
* A hand the annotator found outside every box is believed only when it is sure of itself. It then
  becomes a box of its own, the padded rectangle of its keypoints.
* A picture without human boxes is used whole only when two sure hands were found; a single sure
  hand is cut out with some surroundings, because the person's other hand may be in the rest of the
  picture without a label and would be taught as background. So is every hand of a picture whose
  `boxes_complete` is false.
* A hand with measured joints is labelled by them, and the picture used whole: it is the only one.
* A picture nobody looked at for hands holds none by declaration: empty labels.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path

import cv2
import numpy as np

from ..detect.sides import UNKNOWN_SIDE
from ..errors import ImageError
from ..geometry import HALF_PIXEL
from ..images import read_image
from ..metrics.detection import best_pairs, box_iou
from ..records import (
    AnnotatedHand,
    PictureRecord,
    read_records,
    require_one_of_a_name,
    train_and_val,
)
from ..skeleton import NUM_JOINTS
from ..whole_files import write_bytes, write_text
from .yolo_labels import HandLabel, label_text
from .yolo_set import data_yaml_text, link_picture

__all__ = ["ConversionSummary", "convert_pictures"]

_SURE = 0.8  # the annotator's score from which its side, and its unboxed hands, are believed
_MATCH_IOU = 0.25  # keypoint rectangles are smaller than people's boxes
_TOUCH_IOU = 0.05  # a found hand that overlaps a box this much is a second opinion, not a new hand
_CUT_OUT = 3.0  # side of a cut-out in hand sizes


@dataclass
class ConversionSummary:
    """What :func:`convert_pictures` wrote: counts by source, and the path of the data YAML."""

    data_yaml: Path
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def __str__(self) -> str:
        columns = ("pictures", "hands", "with keypoints", "side unknown", "cut out", "skipped")
        lines = [f"{'source':16s}" + "".join(f"{name:>16s}" for name in columns)]
        for source, count in sorted(self.counts.items()):
            lines.append(f"{source:16s}" + "".join(f"{count[name]:16d}" for name in columns))
        return "\n".join(lines)


def convert_pictures(
    source: str | Path, target: str | Path, val_share: float = 1 / 12
) -> ConversionSummary:
    """Write `images/{train,val}`, `labels/{train,val}` and `data.yaml` under `target`.

    Pictures are linked (copied where the file system has no symbolic links), cut-outs re-encoded.
    The validation part is that of :func:`..records.train_and_val`.

    Args:
        source: folder with `labels.jsonl`.
        target: folder to create or extend; a picture that has changed parts leaves its old one.
        val_share: 0 for no validation part of its own (validation then reads the train part).

    Raises:
        HandError: `labels.jsonl` is missing or malformed, or two pictures have one name.
        ImageError: a picture to cut from cannot be read.
    """
    target = Path(target)
    summary = ConversionSummary(data_yaml=target / "data.yaml")
    every = read_records(source)
    require_one_of_a_name(every)
    for part in ("train", "val") if val_share else ("train",):
        for kind in ("images", "labels"):
            (target / kind / part).mkdir(parents=True, exist_ok=True)
    for part, records in train_and_val(every, val_share).items():
        for record in records:
            _write_record(record, target, part, summary.counts[record.source])
    val = "images/val" if val_share else "images/train"
    write_text(summary.data_yaml, data_yaml_text(target, "images/train", val))
    return summary


def _labels_of(record: PictureRecord) -> tuple[list[HandLabel], bool]:
    """The hands of one picture, and whether every hand in it is among them."""
    if record.true_hand is not None:
        true = record.true_hand
        measured = HandLabel(true.box, true.side, _seen(true))
        return [measured.shifted(-HALF_PIXEL, -HALF_PIXEL)], True  # it was projected by K
    found = record.found or ()
    boxes = np.zeros((0, 4)) if record.boxes is None else record.boxes
    overlaps = box_iou(boxes, np.array([hand.box for hand in found]).reshape(-1, 4))
    match = dict(best_pairs(overlaps, _MATCH_IOU))
    labels = []
    for row, box in enumerate(boxes):
        hand = found[match[row]] if row in match else None
        sure = hand is not None and hand.score >= _SURE
        keypoints = None if hand is None else _seen(hand)
        labels.append(HandLabel(box, hand.side if hand and sure else UNKNOWN_SIDE, keypoints))
    unboxed = [
        HandLabel(hand.box, hand.side, _seen(hand))
        for column, hand in enumerate(found)
        if hand.score >= _SURE and not (overlaps[:, column] > _TOUCH_IOU).any()
    ]
    if record.boxes is not None:
        return labels + unboxed, record.boxes_complete
    return unboxed, record.found is None or len(unboxed) == 2


def _seen(hand: AnnotatedHand) -> np.ndarray:
    return np.column_stack((hand.keypoints, np.full(NUM_JOINTS, 2.0)))


def _write_record(record: PictureRecord, target: Path, part: str, count: Counter[str]) -> None:
    labels, complete = _labels_of(record)
    if complete:
        size = (record.width, record.height)
        _leave_other_part(target, part, record.file.stem)
        link_picture(record.file, target / "images" / part / record.file.name)
        _write_labels(target, part, record.file.stem, labels, size, count)
        return
    if not labels:
        count["skipped"] += 1
        return
    picture = read_image(record.file)
    for number, label in enumerate(labels):
        x1, y1, x2, y2 = _surroundings(label.box, record.width, record.height)
        inside = [
            other.shifted(x1, y1)
            for other in labels
            if _inside_share(other.box, (x1, y1, x2, y2)) > 0.5
        ]
        stem = f"{record.file.stem}_cut{number}"
        _leave_other_part(target, part, stem)
        ok, data = cv2.imencode(".jpg", picture[y1:y2, x1:x2], [cv2.IMWRITE_JPEG_QUALITY, 95])
        if not ok:
            raise ImageError(f"cannot encode a cut-out of {record.file}")
        write_bytes(target / "images" / part / f"{stem}.jpg", data.tobytes())
        _write_labels(target, part, stem, inside, (x2 - x1, y2 - y1), count)
        count["cut out"] += 1


def _leave_other_part(target: Path, part: str, stem: str) -> None:
    """Take a picture out of the part that an earlier conversion put it in."""
    other = "val" if part == "train" else "train"
    for place in (target / "images" / other, target / "labels" / other):
        for file in place.glob(f"{escape(stem)}.*"):
            file.unlink()


def _write_labels(
    target: Path,
    part: str,
    stem: str,
    labels: list[HandLabel],
    size: tuple[int, int],
    count: Counter[str],
) -> None:
    for label in labels:
        count["hands"] += 1
        count["with keypoints"] += label.keypoints is not None
        count["side unknown"] += label.side == UNKNOWN_SIDE
    count["pictures"] += 1
    write_text(target / "labels" / part / f"{stem}.txt", label_text(labels, size))


def _inside_share(box: np.ndarray, window: tuple[int, int, int, int]) -> float:
    low, high = np.maximum(box[:2], window[:2]), np.minimum(box[2:], window[2:])
    return float(np.clip(high - low, 0, None).prod() / max((box[2:] - box[:2]).prod(), 1e-9))


def _surroundings(box: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    centre, half = (box[:2] + box[2:]) / 2, _CUT_OUT * (box[2:] - box[:2]).max() / 2
    low = np.maximum(np.floor(centre - half), 0).astype(int)
    high = np.minimum(np.ceil(centre + half), [width, height]).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
