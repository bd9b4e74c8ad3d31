"""Make pictures of animals and things that are no hands, from cut-outs with an alpha channel.

    python benchmarks/cutout_negatives.py cutouts=stamps data=hands/images/train out=negatives \
        [count=800] [skip=apes,gloves] [seed=0]

`cutouts` is a folder, searched with its subfolders, of PNG pictures cut out along their outlines;
those whose path below it contains a word of `skip` are left out. Half of the pictures lie on a
rectangle of a picture of `data` that touches no labelled hand and have empty labels, one to four
cut-outs each, often so near that only a part is seen. In the other half they are laid on whole
pictures of `data` beside the hands, whose labels stay. out/images and out/labels can be trained on;
out/sheet.jpg shows the first pictures with their labels, to be looked at.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from hard_negatives import FLAT, SUFFIXES, free_rectangles
from key_words import key_words

from wilor_yolo.data.label_sheet import label_sheet
from wilor_yolo.data.yolo_labels import label_path, label_text, read_labels
from wilor_yolo.detect.sides import UNKNOWN_SIDE
from wilor_yolo.images import read_image
from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.whole_files import write_text

MOST_ENLARGED = 2.5  # a cut-out of 200 px looks like nothing at 1,000
SHOWN = 48  # on the sheet


def laid(
    scene: np.ndarray,
    cutout: np.ndarray,
    centre: np.ndarray,
    rng: np.random.Generator,
    length: float,
) -> None:
    """Lay a cut-out BGRA (h, w, 4) of a length in px, turned and lit at random, on the scene."""
    height, width = cutout.shape[:2]
    scale = min(length / max(height, width), MOST_ENLARGED)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, 12), scale)
    if rng.random() < 0.5:  # the other way round
        turn = turn @ np.array([[-1.0, 0, width], [0, 1, 0], [0, 0, 1]])
    turn[:, 2] += centre - (width / 2, height / 2)
    size = scene.shape[1], scene.shape[0]
    # Colours that count by their alpha, or what lies under the transparent parts bleeds in
    alpha = cutout[..., 3:].astype(np.float32) / 255
    drawn = np.dstack((cutout[..., :3] * alpha, alpha))
    drawn = cv2.warpAffine(
        drawn, turn, size, flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    ).clip(0, 255)
    alpha = drawn[..., 3:].clip(0, 1)
    gain = rng.uniform(0.55, 1.2) * rng.uniform(0.9, 1.1, 3)
    scene[:] = (scene * (1 - alpha) + (drawn[..., :3] * gain).clip(0, 255 * alpha)).astype(np.uint8)


def with_cutouts(
    scene: np.ndarray, taken: np.ndarray, cutouts: list[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """The scene with one to four cut-outs that touch no box of `taken` (N, 4) xyxy px."""
    scene = scene.copy()
    size = np.array((scene.shape[1], scene.shape[0]))
    for _ in range(int(rng.choice((1, 2, 3, 4), p=(0.5, 0.25, 0.15, 0.1)))):
        length = size.max() * rng.uniform(0.2, 1.5 if len(taken) == 0 else 0.6)
        centre = rng.uniform(0.05, 0.95, 2) * size
        near = 0.55 * length
        apart = (taken[:, 2:] < centre - near) | (taken[:, :2] > centre + near)
        if apart.any(axis=1).all():
            laid(scene, cutouts[rng.integers(len(cutouts))], centre, rng, length)
    return scene


def compressed(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As a camera would have it: one softness over all of the picture, noise, JPEG."""
    if rng.random() < 0.5:
        scene = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.4, 1.2))
    noisy = scene + rng.normal(0, rng.uniform(0, 5), scene.shape)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))]
    return cv2.imdecode(cv2.imencode(".jpg", noisy.clip(0, 255).astype(np.uint8), quality)[1], 1)


def read_cutouts(folder: Path, skip: list[str]) -> list[np.ndarray]:
    """The pictures of a folder that have an alpha channel, BGRA."""
    found = []
    for file in sorted(folder.rglob("*.png")):
        if any(word in str(file.relative_to(folder)) for word in skip):
            continue
        picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if picture is not None and picture.ndim == 3 and picture.shape[2] == 4:
            found.append(picture)
    return found


def without_hands(
    scene: np.ndarray, taken: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """A part of the scene that touches no box of `taken` (N, 4) and shows something, or None."""
    for left, top, right, bottom in free_rectangles(scene.shape[1::-1], taken, rng)[:1]:
        part = scene[top:bottom, left:right]
        if part.std() >= FLAT:
            return part
    return None


def main() -> None:
    keys = key_words(__doc__)
    out, rng = Path(keys["out"]), np.random.default_rng(int(keys.get("seed", 0)))
    for name in ("images", "labels"):
        (out / name).mkdir(parents=True, exist_ok=True)
    skip = [word for word in keys.get("skip", "").split(",") if word]
    cutouts = read_cutouts(Path(keys["cutouts"]), skip)
    pictures = [p for p in sorted(Path(keys["data"]).iterdir()) if p.suffix.lower() in SUFFIXES]
    count = int(keys.get("count", 800))
    written: list[Path] = []
    while len(written) < count:
        file = pictures[rng.integers(len(pictures))]
        scene: np.ndarray | None = read_image(file)
        size = scene.shape[1], scene.shape[0]
        hands = read_labels(label_path(file), size)
        taken = np.array([hand.box for hand in hands]).reshape(-1, 4)
        if len(written) % 2 == 0:
            scene, hands, taken = without_hands(scene, taken, rng), (), taken[:0]
        if scene is None:
            continue
        picture = out / "images" / f"{len(written):05d}.jpg"
        cv2.imwrite(str(picture), compressed(with_cutouts(scene, taken, cutouts, rng), rng))
        write_text(label_path(picture), label_text(hands, size))
        written.append(picture)
    sides = {side: side for side in (LEFT, RIGHT, UNKNOWN_SIDE)}
    cv2.imwrite(str(out / "sheet.jpg"), label_sheet(written[:SHOWN], 8, 240, sides))
    print(f"{count} pictures with {len(cutouts)} cut-outs on {len(pictures)} pictures")


if __name__ == "__main__":
    main()
