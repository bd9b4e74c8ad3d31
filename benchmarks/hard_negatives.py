"""Find what a detector takes for a hand, where a YOLO hand data set says that there is none.

    python benchmarks/hard_negatives.py data=hands/images/train out=negatives [only='*'] [hands=0]

Cuts up to five rectangles out of each picture that touch no labelled hand (`hands`: at least so
many must be labelled, for pictures whose labels may lack some) and keeps those in which the
detector finds a hand all the same: faces, ears, elbows, collars, bricks, leaves. They are written
as out/images/*.jpg, with empty labels beside them, to be trained on; out/sheet/*.jpg shows what was
found, to be looked at first, for a hand that nobody labelled would be taught to be none.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from key_words import key_words

from wilor_yolo.data.yolo_labels import label_path, read_labels
from wilor_yolo.detect.model import HandDetector
from wilor_yolo.detect.working_point import IMAGE_SIZE
from wilor_yolo.freed_memory import keep_freed_memory
from wilor_yolo.images import read_image

SUFFIXES = {".jpg", ".jpeg", ".png"}
CROPS, TRIES = 5, 300
SMALLEST = 80  # px
MARGIN = 0.25  # of a hand's box, on each side: labels are tight, and fingers stick out
FLAT = 14.0  # grey levels: a wall teaches nothing
CONFIDENCE = 0.15


def free_rectangles(
    size: tuple[int, int], taken: np.ndarray, rng: np.random.Generator
) -> list[np.ndarray]:
    """Up to CROPS rectangles (4,) xyxy px of a picture (w, h) that touch no box of (N, 4)."""
    width, height = size
    margin = MARGIN * (taken[:, 2:] - taken[:, :2])
    low, high = taken[:, :2] - margin, taken[:, 2:] + margin
    found: list[np.ndarray] = []
    for _ in range(TRIES):
        scale, shape = rng.uniform(0.15, 0.9), rng.uniform(0.6, 1.4)
        extent = np.array([scale * width, min(scale * height * shape, height)])
        corner = rng.uniform(0, np.array(size) - extent)
        free = (high < corner) | (low > corner + extent)
        if extent.min() >= SMALLEST and free.any(axis=1).all():
            found.append(np.concatenate((corner, corner + extent)).astype(int))
        if len(found) == CROPS:
            break
    return found


def main() -> None:
    keys = key_words(__doc__)
    out, least = Path(keys["out"]), int(keys.get("hands", 0))
    for name in ("images", "labels", "sheet"):
        (out / name).mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    detector, rng = HandDetector(keys.get("detector")), np.random.default_rng(0)
    looked = kept = 0
    for file in sorted(Path(keys["data"]).glob(keys.get("only", "*"))):
        if file.suffix.lower() not in SUFFIXES:
            continue
        image, label = read_image(file), label_path(file)
        size = image.shape[1], image.shape[0]
        hands = read_labels(label, size) if label.is_file() else []
        if len(hands) < least:
            continue
        taken = np.array([hand.box for hand in hands]).reshape(-1, 4)
        for number, (left, top, right, bottom) in enumerate(free_rectangles(size, taken, rng)):
            crop = np.ascontiguousarray(image[top:bottom, left:right])
            if crop.std() < FLAT:
                continue
            looked += 1
            result = detector.predict(crop, conf=CONFIDENCE, imgsz=IMAGE_SIZE, verbose=False)[0]
            if len(result):
                kept += 1
                stem = f"{file.stem}_{number}"
                cv2.imwrite(str(out / "sheet" / f"{stem}.jpg"), result.plot())
                (out / "labels" / f"{stem}.txt").touch()
                cv2.imwrite(str(out / "images" / f"{stem}.jpg"), crop)
    print(f"{looked} rectangles without hands, {kept} in which the detector finds one")


if __name__ == "__main__":
    main()
