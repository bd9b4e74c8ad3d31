"""Name the sides of hands that a YOLO hand data set leaves open (class 2), and their joints.

    python benchmarks/open_sides.py data=hands/images/train out=named/labels/train [check=true]

The reconstructor looks at each such hand six times: told that it is a left or a right one, which
its check of sides may contradict, with boxes of three sizes. Where it always ends on the same side
and its joints lie within a tenth of the box of each other, that side is written, with the joints if
the label has none; the other hands stay open. With check=true the hands of known side are judged in
the same way, which says how far the rule can be trusted; nothing is written then.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from wilor_yolo.detect.sides import UNKNOWN_SIDE
from wilor_yolo.freed_memory import keep_freed_memory
from wilor_yolo.hands import Hands
from wilor_yolo.images import read_image
from wilor_yolo.reconstruct.predictor import HandReconstructor
from wilor_yolo.skeleton import LEFT, NUM_JOINTS, RIGHT

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
    keys = dict(word.split("=", 1) for word in sys.argv[1:])
    pictures, check = Path(keys["data"]), keys.get("check") == "true"
    labels = pictures.parents[1] / "labels" / pictures.name
    keep_freed_memory()
    reconstructor = HandReconstructor(keys.get("reconstructor"))
    asked = agreed = right = 0
    for file in sorted(p for p in pictures.iterdir() if p.suffix.lower() in SUFFIXES):
        label = labels / f"{file.stem}.txt"
        if not label.is_file():  # a picture without hands
            continue
        rows = np.array([line.split() for line in label.read_text().splitlines() if line], float)
        rows = rows.reshape(-1, 5 + 3 * NUM_JOINTS)
        chosen = np.flatnonzero((rows[:, 0] == UNKNOWN_SIDE) != check)
        if len(chosen):
            image = read_image(file)
            size = np.array([image.shape[1], image.shape[0]])
            middle, half = rows[chosen, 1:3] * size, rows[chosen, 3:5] * size / 2
            looks = [
                rebuilt(reconstructor, image, np.hstack((middle - z * half, middle + z * half)), s)
                for z in ZOOMS
                for s in (RIGHT, LEFT)
            ]
            first = looks[0]
            moved = [np.linalg.norm(h.keypoints_2d - first.keypoints_2d, axis=2) for h in looks]
            steady = np.max(np.mean(moved, axis=2), axis=0) < SPREAD * 2 * half.max(axis=1)
            same = steady & np.all([h.is_right == first.is_right for h in looks], axis=0)
            sides = np.where(first.is_right, RIGHT, LEFT)
            asked += len(chosen)
            agreed += int(same.sum())
            right += int((same & (sides == rows[chosen, 0])).sum())
            for i in np.flatnonzero(same):
                row = rows[chosen[i]]
                row[0] = sides[i]
                if not row[7::3].any():
                    points = first.keypoints_2d[i] / size
                    inside = ((points >= 0) & (points <= 1)).all(axis=1)
                    joints = np.column_stack((points, np.full(NUM_JOINTS, 2.0)))
                    row[5:] = np.where(inside[:, None], joints, 0).ravel()
        if not check:
            target = Path(keys["out"]) / label.name
            target.parent.mkdir(parents=True, exist_ok=True)
            lines = (" ".join([f"{row[0]:.0f}", *(f"{v:g}" for v in row[1:])]) for row in rows)
            temporary = target.with_suffix(".part")
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            temporary.replace(target)
    print(f"{asked} hands asked about, {agreed} steady", end="")
    print(f", {right} of them as labelled" if check else "")


if __name__ == "__main__":
    main()
