"""How far is the default crop from the released preprocessing, and what does each cost?

Four squares of `bus.jpg` (it lies inside the ultralytics package), from four times enlarged to
four times shrunk. For each: the difference of the crops as they are; the difference after the
default crop is moved by the half crop pixel that lies between the two conventions; CPU
milliseconds a crop.

    OMP_NUM_THREADS=1 python benchmarks/released_crops.py
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from wilor_yolo.crops import IMAGE_STD, CropGeometry, crop_hands, normalise
from wilor_yolo.released_crops import SIZE, released_crop_geometry, released_crops

BOXES = {  # hand box side, px -> centre in the picture
    24: (315, 420),
    96: (400, 540),
    200: (400, 540),
    400: (400, 540),
}
REPEATS = 9


def main() -> None:
    package = importlib.util.find_spec("ultralytics")
    assert package is not None and package.origin is not None
    image = cv2.imread(str(Path(package.origin).parent / "assets" / "bus.jpg"))
    print("crop px | shrunk | difference: mean, 99 % | half pixel moved | ms default, released")
    for side, (x, y) in BOXES.items():
        box = np.array([[x - side / 2, y - side / 2, x + side / 2, y + side / 2]], np.float32)
        geometry = released_crop_geometry(box, np.array([True]))
        released = released_crops(image, geometry)
        crop = float(geometry.size[0])
        moved = CropGeometry(geometry.center - crop / SIZE / 2, geometry.size, geometry.is_right)
        plain, shifted = (normalise(crop_hands(image, g, SIZE)) for g in (geometry, moved))
        cells = [f"{crop:6.0f}", f"{crop / SIZE:5.2f}"]
        for other in (plain, shifted):
            difference = _grey_levels(np.abs(other - released))
            cells.append(f"{difference.mean():5.1f}, {np.percentile(difference, 99):5.1f}")
        fast = _milliseconds(lambda g=geometry: normalise(crop_hands(image, g, SIZE)))
        slow = _milliseconds(lambda g=geometry: released_crops(image, g))
        print(" | ".join([*cells, f"{fast:5.2f}, {slow:5.2f}"]))


def _grey_levels(normalised: np.ndarray) -> np.ndarray:
    """0 to 255 of differences of normalised crops (N, 3, H, W)."""
    return normalised * (255 * IMAGE_STD)[:, None, None]


def _milliseconds(work: Callable[[], object]) -> float:
    best = np.inf
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return 1000 * best


if __name__ == "__main__":
    main()
