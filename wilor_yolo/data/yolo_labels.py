"""YOLO-pose label files of hands: one line a hand, written and read.

A line is `class cx cy w h` and 21 times `x y visibility`, over the picture's size. Classes: LEFT,
RIGHT, and `UNKNOWN_SIDE` for a hand whose side nobody knows. Visibility: 2 seen, 1 hidden but its
place is known, 0 unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..detect.label_files import FIELDS, label_line
from ..detect.sides import UNKNOWN_SIDE
from ..errors import HandError
from ..skeleton import LEFT, NUM_JOINTS, RIGHT
from ..text_files import read_text

__all__ = [
    "HandLabel",
    "label_path",
    "label_text",
    "parse_label",
    "read_labels",
]

_BARE = 5  # class and box
_LENGTHS = (_BARE, _BARE + 2 * NUM_JOINTS, FIELDS)
_OURS = {LEFT: LEFT, RIGHT: RIGHT, UNKNOWN_SIDE: UNKNOWN_SIDE}
_LEAST_SIDE = 2.0  # px in the picture; less of a hand shows nothing


@dataclass(frozen=True)
class HandLabel:
    """One hand of a picture, px from its border as in the file (:mod:`..detect.label_files`).

    Joints projected by a camera count from the middle of the first pixel, as K does:
    `geometry.HALF_PIXEL` is added to them. Most other sets do not tell from where theirs count;
    they are taken as they are.

    Attributes:
        box: (4,) xyxy px.
        side: LEFT, RIGHT or UNKNOWN_SIDE.
        keypoints: (21, 3) x px, y px, visibility, or None.
    """

    box: np.ndarray
    side: int
    keypoints: np.ndarray | None = None

    def shifted(self, x: float, y: float) -> HandLabel:
        """The same hand in a picture whose origin lies at (x, y) of this one."""
        keypoints = None if self.keypoints is None else self.keypoints - (x, y, 0)
        return HandLabel(self.box - (x, y, x, y), self.side, keypoints)

    def shows(self, size: tuple[int, int]) -> bool:
        """Whether something of the box lies in a picture of (width, height) px."""
        low, high = np.clip(self.box.reshape(2, 2), 0, size)
        return bool((high - low).min() >= _LEAST_SIDE)

    def line(self, size: tuple[int, int]) -> str:
        """Its line for a picture of (width, height) px; what lies outside is cut or unknown."""
        return label_line(self.side, self.box, self.keypoints, size)


def label_text(labels: Iterable[HandLabel], size: tuple[int, int]) -> str:
    """The label file of a picture of (width, height) px."""
    return "".join(label.line(size) + "\n" for label in labels)


def read_labels(
    path: Path, size: tuple[int, int], sides: Mapping[int, int] = _OURS
) -> tuple[HandLabel, ...]:
    """The hands of a label file, px of a picture of (width, height); none without a file.

    Lines of other sets are read too: boxes alone, and keypoints without visibility (a keypoint in
    the corner is unknown then).

    Args:
        path: the file.
        size: (width, height) px.
        sides: side of each class; by default ours.

    Raises:
        HandError: no text, or a line that is no hand's; the message names it.
    """
    if not path.is_file():
        return ()
    labels = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            try:
                labels.append(parse_label(line.split(), size, sides))
            except (HandError, ValueError) as error:
                raise HandError(f"{path}:{number}: {error}") from None
    return tuple(labels)


def parse_label(
    values: Sequence[str], size: tuple[int, int], sides: Mapping[int, int] = _OURS
) -> HandLabel:
    """The hand of the values of one line; see :func:`read_labels`."""
    if len(values) not in _LENGTHS:
        raise HandError(f"{len(values)} values; a hand has {FIELDS}: class, box, 21 keypoints")
    numbers = np.array(values, np.float64)
    if not np.isfinite(numbers).all():
        raise HandError("not all values are finite")
    if numbers[0] not in sides:
        raise HandError(f"class {values[0]}; known are {', '.join(map(str, sorted(sides)))}")
    middle, half = numbers[1:3] * size, numbers[3:5] * size / 2
    box = np.concatenate((middle - half, middle + half))
    points = np.zeros((NUM_JOINTS, 3))
    if len(values) > _BARE:
        given = numbers[_BARE:].reshape(NUM_JOINTS, -1)
        points[:, :2] = given[:, :2] * size
        points[:, 2] = given[:, 2] if given.shape[1] > 2 else 2 * given.any(1)
    return HandLabel(box, sides[int(numbers[0])], points if points[:, 2].any() else None)


def label_path(picture: Path) -> Path:
    """Where the labels of a picture are, by Ultralytics' rule: the last folder of its path that is
    named `images` becomes `labels`."""
    parts = list(picture.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")
