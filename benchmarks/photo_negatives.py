"""Make a set of pictures without hands from whole photographs, also from those inside packed files.

    python benchmarks/photo_negatives.py photos=folder out=negatives \
        [skip=statue,ape_3] [crops=3] [seed=0]

Every JPEG, PNG or WebP of `photos` and its subfolders, and every one that lies unpacked inside
another file there (Qt's .rcc, say), is written to out/images with empty labels, and `crops` parts
of it of 0.35 to 0.9 of its sides. Pictures are called by their file and their place in it; a
picture whose name is in `skip` is left out: photographs with people, statues or apes. Look at
out/sheet.jpg, which shows them all, before training on them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from key_words import key_words

from wilor_yolo.data.label_sheet import label_sheet
from wilor_yolo.data.yolo_labels import label_path
from wilor_yolo.whole_files import write_text

BEGINNINGS = re.compile(rb"\xff\xd8\xff[\xe0\xe1\xdb]|\x89PNG\r\n\x1a\n|RIFF....WEBP", re.DOTALL)
LEAST = 200  # px of the shorter side: smaller ones are icons
MOST = 1000  # px of the longer side when written


def pictures_inside(file: Path) -> Iterator[np.ndarray]:
    """The pictures (h, w, 3) BGR uint8 that begin anywhere in a file."""
    data = file.read_bytes()
    for beginning in BEGINNINGS.finditer(data):
        picture = cv2.imdecode(np.frombuffer(data[beginning.start() :], np.uint8), cv2.IMREAD_COLOR)
        if picture is not None and min(picture.shape[:2]) >= LEAST:
            scale = MOST / max(picture.shape[:2])
            if scale < 1:
                picture = cv2.resize(
                    picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
                )
            yield picture


def part_of(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of a picture, of its own shape."""
    height, width = picture.shape[:2]
    share = rng.uniform(0.35, 0.9)
    h, w = int(share * height), int(share * width)
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    return picture[top : top + h, left : left + w]


def main() -> None:
    keys = key_words(__doc__)
    out, rng = Path(keys["out"]), np.random.default_rng(int(keys.get("seed", 0)))
    for name in ("images", "labels"):
        (out / name).mkdir(parents=True, exist_ok=True)
    skip = set(keys.get("skip", "").split(","))
    whole: list[Path] = []
    for file in sorted(p for p in Path(keys["photos"]).rglob("*") if p.is_file()):
        for number, picture in enumerate(pictures_inside(file)):
            name = f"{file.stem}_{number}"
            if name in skip:
                continue
            parts = [part_of(picture, rng) for _ in range(int(keys.get("crops", 3)))]
            for place, part in enumerate((picture, *parts)):
                written = out / "images" / f"{name}_{place}.jpg"
                cv2.imwrite(str(written), part)
                write_text(label_path(written), "")
            whole.append(out / "images" / f"{name}_0.jpg")
    cv2.imwrite(str(out / "sheet.jpg"), label_sheet(whole, 12, 160, {}))
    print(f"{len(whole)} photographs, each with its parts")


if __name__ == "__main__":
    main()
