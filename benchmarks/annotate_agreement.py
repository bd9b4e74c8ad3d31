"""Boxes of the annotation engine against boxes drawn by people, fused and of each detector alone.

    python benchmarks/annotate_agreement.py --labels folder --list list.txt \\
        --mediapipe mediapipe.whl --model hand-n.pt

`--labels` is a folder with `labels.jsonl` (see wilor_yolo.records); only pictures of the list whose
boxes are complete are counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from wilor_yolo.annotate.candidates import FrameName
from wilor_yolo.annotate.ensemble import Ensemble
from wilor_yolo.annotate.fusion import fuse
from wilor_yolo.annotate.mediapipe_tflite import MediaPipeFinder
from wilor_yolo.annotate.yolo_finder import YoloFinder
from wilor_yolo.images import read_image
from wilor_yolo.metrics.detection import box_iou
from wilor_yolo.records import PictureRecord, read_records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--list", required=True)
    parser.add_argument("--mediapipe", help="wheel or folder; the cache by default")
    parser.add_argument("--model", nargs="*", default=[], help="Ultralytics hand models")
    parser.add_argument("--keep", type=float, default=0.45, help="lowest confidence counted")
    args = parser.parse_args()
    wanted = {str(Path(line)) for line in Path(args.list).read_text().split()}
    records = [r for r in read_records(args.labels) if str(r.file) in wanted and r.boxes_complete]
    finders = [MediaPipeFinder(args.mediapipe), *(YoloFinder(m) for m in args.model)]
    ensemble = Ensemble(finders)
    table: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for record in records:
        image = read_image(record.file)
        found = ensemble.find(image, FrameName(record.file.stem, 0, str(record.file)), print)
        fused = fuse(found)
        rows = {f"{n} alone": c.boxes[c.confidence >= args.keep] for n, c in found.items() if c}
        for name in found:
            rows.setdefault(f"{name} alone", np.zeros((0, 4)))
        believed = [hand.box for hand in fused if hand.confidence >= args.keep]
        any_one = [hand.box for hand in fused if max(hand.votes.values()) >= args.keep]
        several = [hand.box for hand in fused if len(hand.votes) > 1]
        rows["fused, confidence of the mean"] = np.array(believed).reshape(-1, 4)
        rows["fused, one sure voice enough"] = np.array(any_one).reshape(-1, 4)
        rows["fused, two or more voices"] = np.array(several).reshape(-1, 4)
        for name, boxes in rows.items():
            table.setdefault(name, []).append((record.boxes, boxes))
    _against_annotator(records, finders[0])
    print(f"{len(records)} pictures, {sum(len(r.boxes) for r in records)} hands boxed by people")
    print("| boxes | recall at IoU 0.5 | mean IoU of the found | precision |")
    for name, pairs in table.items():
        print(f"| {name} | " + " | ".join(f"{v:.2f}" for v in measure(pairs)) + " |")


def _against_annotator(records: list[PictureRecord], finder: MediaPipeFinder) -> None:
    """Our MediaPipe chain against the hands on record, which mediapipe itself found."""
    wanted, distances, sides = 0, [], 0
    for record in records:
        if not record.found:
            continue
        mine = finder(read_image(record.file))
        iou = box_iou(np.stack([hand.box for hand in record.found]), mine.boxes)
        for hand, row in zip(record.found, iou, strict=True):
            wanted += 1
            if row.size and row.max() >= 0.4 and mine.keypoints is not None:
                off = mine.keypoints[row.argmax(), :, :2] - hand.keypoints
                size = np.ptp(hand.keypoints, axis=0).max()
                distances.append(np.linalg.norm(off, axis=1).mean() / size)
                sides += int(np.asarray(mine.sides)[row.argmax()] == hand.side)
    if distances:
        print(
            f"mediapipe on record: {len(distances)} of {wanted} hands found again, median distance "
            f"{np.median(distances):.2%} of the hand, {sides} of one side"
        )


def measure(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float, float]:
    """Recall, mean IoU of found hands, precision; pairs matched best overlap first."""
    overlaps, true, given = [], 0, 0
    for boxes, found in pairs:
        true, given = true + len(boxes), given + len(found)
        iou = box_iou(boxes, found)
        while iou.size and iou.max() >= 0.5:
            i, j = np.unravel_index(iou.argmax(), iou.shape)
            overlaps.append(iou[i, j])
            iou[i], iou[:, j] = 0, 0
    mean = float(np.mean(overlaps)) if overlaps else float("nan")
    return len(overlaps) / max(true, 1), mean, len(overlaps) / max(given, 1)


if __name__ == "__main__":
    main()
