"""How long it takes to cut the hands out of a large photograph.

    python benchmarks/crops.py [--rounds 30]

A 12-megapixel picture with four large hands, one of them reaching over the border; `crop_hands`
and `normalise` are timed apart, one thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from datetime import datetime, timezone

import cv2
import numpy as np

from wilor_yolo.crops import crop_geometry, crop_hands, normalise

WIDTH, HEIGHT = 4000, 3000
SIZE = 256  # px, side of the crops
# x1 y1 x2 y2, px: hands as large as a photograph of a person holding something up has them.
BOXES = np.array(
    [
        [300, 400, 1300, 1500],
        [1600, 300, 2500, 1400],
        [2700, 900, 3900, 2100],
        [-200, 2000, 800, 2900],
    ],
    np.float32,
)
SIDES = np.array([True, False, True, False])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    # By the wall and by the thread's own clock, which other work on the machine does not advance.
    rows = []
    for _ in range(args.rounds + 3):
        marks = [_now()]
        crops = crop_hands(image, crop_geometry(BOXES, SIDES, box_scale=2.0), SIZE)
        marks.append(_now())
        normalise(crops)
        marks.append(_now())
        rows.append(np.diff(marks, axis=0))
    times = 1e3 * np.array(rows[3:])  # (rounds, step, clock)
    times = np.concatenate((times, times.sum(axis=1, keepdims=True)), axis=1)
    print(f"$ python {' '.join(sys.argv)}")
    print(f"{datetime.now(timezone.utc):%Y-%m-%d}, Python {platform.python_version()}, ", end="")
    print(f"OpenCV {cv2.__version__}, 1 thread, load {os.getloadavg()[0]:.1f}\n")
    print(f"| {WIDTH} x {HEIGHT} px, 4 hands, crops of {SIZE} px | CPU ms | wall ms | worst |")
    print("|---|---:|---:|---:|")
    for step, name in enumerate(("crop_hands", "normalise", "together")):
        wall, thread = times[:, step, 0], times[:, step, 1]
        print(f"| {name} | {np.median(thread):.1f} | {np.median(wall):.1f} | {wall.max():.1f} |")


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.thread_time()


if __name__ == "__main__":
    main()
