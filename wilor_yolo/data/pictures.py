"""Pictures with a `labels.jsonl` beside them -> a YOLO-pose data set the detector trains on.

One JSON object a line: `file`, `source`, `width`, `height`, and optionally `boxes_xyxy` (hands
boxed by people, pixels, no side), `boxes_complete` (false: other hands have no box) and
`mediapipe`, hands found by an annotator network (`side`, `score`, 21 `keypoints_px`).

What becomes a label:

* Every human box is a hand. The annotator's hand that lies in it gives its side and keypoints; a
  box nobody vouches for keeps no keypoints and the class `UNKNOWN_SIDE`.
* An annotator's hand outside every box is believed only when it is sure of itself. It then becomes
  a box of its own (keypoint rectangle padded by 10 % of its larger side).
* A picture without human boxes (or with `boxes_complete` false) is used whole only when two sure
  hands were found; a single sure hand is cut out with some surroundings, because the person's
  other hand may be in the rest of the picture without a label and would be taught as background.
* A picture that carries neither boxes nor an annotator's answer holds no hands by declaration:
  empty labels.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ..errors import HandError, ImageError
from ..detect.sides import UNKNOWN_SIDE
from ..skeleton import LEFT, NUM_JOINTS, RIGHT, SIDE_NAMES

__all__ = ["HandLabel", "PictureRecord", "convert_pictures", "read_records"]


_SURE = 0.8  # the annotator's score from which its side, and its unboxed hands, are believed
_MATCH_IOU = 0.25  # keypoint rectangles are smaller than people's boxes
_PAD = 0.10  # of the larger side of the keypoint rectangle
_CUT_OUT = 3.0  # side of a cut-out in hand sizes
_SIDES = {name: side for side, name in SIDE_NAMES.items()}


@dataclass(frozen=True)
class HandLabel:
    """One hand: `box` xyxy px, `side` LEFT, RIGHT or UNKNOWN_SIDE, `keypoints` (21, 2) px or None."""

    box: np.ndarray
    side: int
    keypoints: np.ndarray | None = None


@dataclass(frozen=True)
class PictureRecord:
    """One line of `labels.jsonl`, checked. `boxes` is None when nobody drew boxes."""

    file: Path
    source: str
    width: int
    height: int
    boxes: np.ndarray | None
    boxes_complete: bool
    annotated: tuple[tuple[HandLabel, float], ...] | None


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


def read_records(folder: str | Path) -> list[PictureRecord]:
    """Read `labels.jsonl` of a folder of annotated pictures.

    Raises:
        HandError: the file is missing or a line does not have the layout above.
    """
    path = Path(folder) / "labels.jsonl"
    if not path.is_file():
        raise HandError(f"no labels.jsonl in {folder}; give a folder that holds one")
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            records.append(_record(json.loads(line), path.parent))
        except (KeyError, TypeError, ValueError) as error:
            raise HandError(f"{path}:{number}: not a picture record ({error!r})") from error
    return records


def convert_pictures(
    source: str | Path, target: str | Path, val_every: int = 12
) -> ConversionSummary:
    """Write `images/{train,val}`, `labels/{train,val}` and `data.yaml` under `target`.

    Pictures are linked (copied where the file system has no symbolic links), cut-outs re-encoded.
    The last 1 / `val_every` of each source, in file order, becomes the validation part: neighbours
    in a source are often near-copies, so a random split would measure memory.

    Args:
        source: folder with `labels.jsonl`.
        target: folder to create or extend; nothing is deleted.
        val_every: 0 for no validation part of its own (validation then reads the train part).

    Raises:
        HandError: see :func:`read_records`; ImageError: a picture to cut from cannot be read.
    """
    target = Path(target)
    summary = ConversionSummary(data_yaml=target / "data.yaml")
    by_source: dict[str, list[PictureRecord]] = defaultdict(list)
    for record in read_records(source):
        by_source[record.source].append(record)
    for part in ("train", "val") if val_every else ("train",):
        for kind in ("images", "labels"):
            (target / kind / part).mkdir(parents=True, exist_ok=True)
    for name, records in by_source.items():
        first_val = len(records) - (len(records) // val_every if val_every else 0)
        for index, record in enumerate(records):
            part = "train" if index < first_val else "val"
            _write_record(record, target, part, summary.counts[name])
    _write_text(summary.data_yaml, _data_yaml(target, "val" if val_every else "train"))
    return summary


def _record(row: dict, root: Path) -> PictureRecord:
    boxes = row.get("boxes_xyxy")
    annotated = row.get("mediapipe")
    return PictureRecord(
        file=root / row["file"],
        source=row["source"],
        width=int(row["width"]),
        height=int(row["height"]),
        boxes=None if boxes is None else np.asarray(boxes, np.float64).reshape(-1, 4),
        boxes_complete=bool(row.get("boxes_complete")),
        annotated=None if annotated is None else tuple(_annotated(hand) for hand in annotated),
    )


def _annotated(hand: dict) -> tuple[HandLabel, float]:
    keypoints = np.asarray(hand["keypoints_px"], np.float64).reshape(NUM_JOINTS, 2)
    low, high = keypoints.min(0), keypoints.max(0)
    pad = _PAD * (high - low).max()
    box = np.concatenate((low - pad, high + pad))
    return HandLabel(box, _SIDES[hand["side"]], keypoints), float(hand["score"])


def _hands_of(record: PictureRecord) -> tuple[list[HandLabel], bool]:
    """The hands of one picture, and whether every hand in it is among them."""
    annotated = list(record.annotated or ())
    boxes = np.zeros((0, 4)) if record.boxes is None else record.boxes
    hands = []
    free = set(range(len(annotated)))
    overlaps = _overlaps(boxes, np.array([hand.box for hand, _ in annotated]).reshape(-1, 4))
    matches: dict[int, int] = {}
    for row, column in sorted(np.ndindex(overlaps.shape), key=lambda rc: -overlaps[rc]):
        if overlaps[row, column] < _MATCH_IOU:
            break
        if row not in matches and column in free:
            matches[row] = column
            free.remove(column)
    for row, box in enumerate(boxes):
        if row in matches:
            hand, score = annotated[matches[row]]
            side = hand.side if score >= _SURE else UNKNOWN_SIDE
            hands.append(HandLabel(box, side, hand.keypoints))
        else:
            hands.append(HandLabel(box, UNKNOWN_SIDE))
    # An unboxed hand that touches a boxed one is the annotator's second opinion, not a new hand.
    extra = [
        annotated[i][0]
        for i in sorted(free)
        if annotated[i][1] >= _SURE and not (overlaps[:, i] > 0.05).any()
    ]
    hands += extra
    if record.boxes is None:
        nothing_there = record.annotated is None
        return hands, nothing_there or len(extra) == 2
    return hands, record.boxes_complete


def _write_record(record: PictureRecord, target: Path, part: str, count: Counter[str]) -> None:
    hands, complete = _hands_of(record)
    if complete:
        image = target / "images" / part / record.file.name
        _link(record.file, image)
        _write_labels(target, part, record.file.stem, hands, record.width, record.height, count)
        return
    if not hands:
        count["skipped"] += 1
        return
    picture = cv2.imread(str(record.file))
    if picture is None:
        raise ImageError(f"cannot read the picture {record.file}")
    for number, hand in enumerate(hands):
        x1, y1, x2, y2 = _surroundings(hand.box, record.width, record.height)
        shift = np.array([x1, y1], np.float64)
        inside = [
            HandLabel(
                other.box - np.tile(shift, 2),
                other.side,
                None if other.keypoints is None else other.keypoints - shift,
            )
            for other in hands
            if _inside_share(other.box, (x1, y1, x2, y2)) > 0.5
        ]
        stem = f"{record.file.stem}_cut{number}"
        ok, data = cv2.imencode(".jpg", picture[y1:y2, x1:x2], [cv2.IMWRITE_JPEG_QUALITY, 95])
        if not ok:
            raise ImageError(f"cannot encode a cut-out of {record.file}")
        _write_bytes(target / "images" / part / f"{stem}.jpg", data.tobytes())
        _write_labels(target, part, stem, inside, x2 - x1, y2 - y1, count)
        count["cut out"] += 1


def _write_labels(
    target: Path,
    part: str,
    stem: str,
    hands: list[HandLabel],
    width: int,
    height: int,
    count: Counter[str],
) -> None:
    rows = []
    size = np.array([width, height], np.float64)
    for hand in hands:
        low = np.clip(hand.box[:2] / size, 0, 1)
        high = np.clip(hand.box[2:] / size, 0, 1)
        keypoints = np.zeros((NUM_JOINTS, 3))
        if hand.keypoints is not None:
            place = hand.keypoints / size
            seen = ((place >= 0) & (place <= 1)).all(1)
            keypoints[seen] = np.concatenate((place[seen], np.full((seen.sum(), 1), 2.0)), 1)
        values = np.concatenate(((low + high) / 2, high - low))
        row = [str(hand.side), *(f"{value:.6f}" for value in values)]
        for x, y, visible in keypoints:
            row += [f"{x:.6f}", f"{y:.6f}", str(int(visible))]
        rows.append(" ".join(row) + "\n")
        count["hands"] += 1
        count["with keypoints"] += hand.keypoints is not None
        count["side unknown"] += hand.side not in (LEFT, RIGHT)
    count["pictures"] += 1
    _write_text(target / "labels" / part / f"{stem}.txt", "".join(rows))


def _overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU (N, M) of xyxy boxes (N, 4) and (M, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1) for boxes in (first, second)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def _inside_share(box: np.ndarray, window: tuple[int, int, int, int]) -> float:
    low, high = np.maximum(box[:2], window[:2]), np.minimum(box[2:], window[2:])
    return float(np.clip(high - low, 0, None).prod() / max((box[2:] - box[:2]).prod(), 1e-9))


def _surroundings(box: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    centre, half = (box[:2] + box[2:]) / 2, _CUT_OUT * (box[2:] - box[:2]).max() / 2
    low = np.maximum(np.floor(centre - half), 0).astype(int)
    high = np.minimum(np.ceil(centre + half), [width, height]).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _data_yaml(root: Path, val: str) -> str:
    names = "".join(f"  {side}: {name}\n" for side, name in SIDE_NAMES.items())
    return (
        f"path: {root.resolve()}\ntrain: images/train\nval: images/{val}\n"
        f"kpt_shape: [{NUM_JOINTS}, 3]\nnc: {len(SIDE_NAMES)}\nnames:\n{names}"
    )


def _link(picture: Path, place: Path) -> None:
    if place.exists():
        return
    try:
        os.symlink(picture.resolve(), place)
    except OSError:
        _write_bytes(place, picture.read_bytes())


def _write_text(path: Path, text: str) -> None:
    _write_bytes(path, text.encode())


def _write_bytes(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data)
    os.replace(temporary, path)
