"""Name the sides of hands that a YOLO hand data set leaves open (class 2), and their joints.

    python benchmarks/open_sides.py data=hands/images/train out=named/labels/train [check=true]

The reconstructor looks at each such hand six times: told that it is a left or a right one, which
its check of sides may contradict, with boxes of three sizes. Where it always ends on the same side
and its joints lie within a tenth of the box of each other, that side is written, with the joints if
the label has none; the other hands stay open. With check=true the hands of known side are judged in
the same way, which says how far the rule can be trusted; nothing is written then.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from key_words import key_words

from wilor_yolo.data.yolo_labels import label_path, label_text, read_labels
from wilor_yolo.detect.sides import UNKNOWN_SIDE
from wilor_yolo.freed_memory import keep_freed_memory
from wilor_yolo.hands import Hands
from wilor_yolo.images import read_image
from wilor_yolo.reconstruct.predictor import HandReconstructor
from wilor_yolo.skeleton import LEFT, NUM_JOINTS, RIGHT
from wilor_yolo.whole_files import write_text

SUFFIXES = {".jpg", ".jpeg", ".png"}
ZOOMS = (1.0, 0.85, 1.2)
SPREAD = 0.1  # of the box: most that the joints of one hand may move, on average


def rebuilt(
    reconstructor: HandReconstructor, image: np.ndarray, boxes: np.ndarray, side: int
) -> Hands:
    """The hands of xyxy boxes (N, 4), told that all are of one side, which it may contradict."""
    boxes = boxes.astype(np.float32)
    count = len(boxes)

    class Boxes:
        xyxy, conf, cls, id = boxes, np.ones(count), np.full(count, float(side)), None

        def __len__(self) -> int:
            return count

    result = SimpleNamespace(orig_img=image, boxes=Boxes(), keypoints=None, path=None)
    return reconstructor.reconstruct(result)


def main() -> None:
    keys = key_words(__doc__)
    pictures, check = Path(keys["data"]), keys.get("check") == "true"
    keep_freed_memory()
    reconstructor = HandReconstructor(keys.get("reconstructor"))
    asked = agreed = right = 0
    for file in sorted(p for p in pictures.iterdir() if p.suffix.lower() in SUFFIXES):
        label = label_path(file)
        if not label.is_file():  # a picture without hands
            continue
        image = read_image(file)
        size = image.shape[1], image.shape[0]
        hands = list(read_labels(label, size))
        chosen = [i for i, hand in enumerate(hands) if (hand.side != UNKNOWN_SIDE) == check]
        if chosen:
            boxes = np.stack([hands[i].box for i in chosen])
            middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
            looks = [
                rebuilt(reconstructor, image, np.hstack((middle - z * half, middle + z * half)), s)
                for z in ZOOMS
                for s in (RIGHT, LEFT)
            ]
            first = looks[0]
            moved = [np.linalg.norm(h.keypoints_2d - first.keypoints_2d, axis=2) for h in looks]
            steady = np.max(np.mean(moved, axis=2), axis=0) < SPREAD * 2 * half.max(axis=1)
            same = steady & np.all([h.is_right == first.is_right for h in looks], axis=0)
            asked += len(chosen)
            agreed += int(same.sum())
            for k in np.flatnonzero(same):
                hand, side = hands[chosen[k]], RIGHT if first.is_right[k] else LEFT
                right += side == hand.side
                joints = np.column_stack((first.keypoints_2d[k], np.full(NUM_JOINTS, 2.0)))
                known = joints if hand.keypoints is None else hand.keypoints
                hands[chosen[k]] = replace(hand, side=side, keypoints=known)
        if not check:
            target = Path(keys["out"]) / label.name
            write_text(target, label_text(hands, size))
    print(f"{asked} hands asked about, {agreed} steady", end="")
    print(f", {right} of them as labelled" if check else "")


if __name__ == "__main__":
    main()
