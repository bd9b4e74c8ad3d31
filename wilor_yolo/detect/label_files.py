"""What a label file of a hand data set may hold, and what is wrong with one that holds more.

One hand a line: `class cx cy w h` and 21 times `x y visibility`, everything divided by the
picture's size. Class 0 is left, 1 right, 2 a hand whose side nobody knows (`sides.py`).

Ultralytics counts from the picture's left and upper border, boxes and keypoints alike: 0 is that
border, 1 the other one, and the middle of the first of W pixels is at 0.5 / W. Where the middle of
the first pixel is 0, as in K (principal point (W - 1) / 2), half a pixel is added before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..skeleton import NUM_JOINTS
from .sides import UNKNOWN_SIDE

__all__ = ["FIELDS", "first_label_fault", "label_fault", "label_line"]

FIELDS = 5 + 3 * NUM_JOINTS  # class, box, keypoints
_SLACK = 0.01  # beyond the border, as Ultralytics allows


def label_line(
    side: int, box: np.ndarray, keypoints: np.ndarray | None, size: tuple[int, int]
) -> str:
    """The line of one hand, without its end; what lies outside the picture is cut or unknown.

    Args:
        side: class.
        box: (4,) xyxy px from the picture's border.
        keypoints: (21, 3) x, y px from the border, and visibility, 0 if unknown; None: all are.
        size: (width, height) px.
    """
    low, high = np.clip(box.reshape(2, 2) / size, 0, 1)
    rows = np.zeros((NUM_JOINTS, 3))
    if keypoints is not None:
        places, visibility = keypoints[:, :2] / size, keypoints[:, 2]
        known = (visibility > 0) & ((places >= 0) & (places <= 1)).all(1)
        rows[known] = np.column_stack((places, visibility))[known]
    words = [str(side), *(f"{v:.6f}" for v in (*((low + high) / 2), *(high - low)))]
    return " ".join([*words, *(f"{x:.6f} {y:.6f} {v:.0f}" for x, y, v in rows)])


def label_fault(words: Sequence[str], classes: int = UNKNOWN_SIDE + 1) -> str | None:
    """What is wrong with a line of a label file, split at its spaces; None if nothing is.

    Args:
        words: of the line.
        classes: how many the file may name; 1 in a set of one class (`sides: unknown`).
    """
    if len(words) != FIELDS:
        keypoints, rest = divmod(len(words) - 5, 3)
        counted = f" ({keypoints} keypoints)" if not rest and keypoints > 0 else ""
        return f"{len(words)} values{counted}; a hand has {FIELDS}: class, box, 21 keypoints"
    try:
        values = [float(word) for word in words]
    except ValueError:
        wrong = next(word for word in words if not _is_number(word))
        return f"{wrong!r} is no number"
    if not all(map(math.isfinite, values)):
        return "a value is NaN or infinite; an unknown keypoint is 0 0 0"
    if values[0] not in range(classes):
        known = "0 left, 1 right, 2 unknown" if classes > 1 else "0 in a set of one class"
        return f"class {words[0]}; classes are {known}"
    x, y, width, height = values[1:5]
    if min(width, height) <= 0:
        return "the box has no size"
    places = [x, y, width, height, *values[5::3], *values[6::3]]
    if min(places) < -_SLACK or max(places) > 1 + _SLACK:
        far = max(places, key=lambda value: abs(value - 0.5))
        return f"{far:g} lies outside the picture; divide pixels by its width and height"
    if not set(values[7::3]) <= {0, 1, 2}:
        return "visibility of a keypoint is not 0, 1 or 2"
    return None


def first_label_fault(path: str | Path, classes: int = UNKNOWN_SIDE + 1) -> str | None:
    """The first fault of a label file with its line number; None if there is none.

    A line of blanks is no fault, and neither is a missing file: both say "no hand".
    """
    file = Path(path)
    if not file.is_file():
        return None
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return f"{file}: no text file"
    for number, line in enumerate(lines, start=1):
        if (words := line.split()) and (fault := label_fault(words, classes)):
            return f"{file}:{number}: {fault}"
    return None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
