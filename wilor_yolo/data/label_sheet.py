"""Pictures of a detection data set side by side, with their labels drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..errors import HandError
from ..images import read_image
from ..render.skeleton import draw_skeleton
from ..skeleton import SIDE_COLOURS
from .yolo_labels import HandLabel, label_path, read_labels

__all__ = ["draw_labels", "label_sheet"]

_UNKNOWN_COLOUR = (160, 160, 160)  # RGB, of a hand whose side nobody knows
_LETTERS = {0: "L", 1: "R"}


def label_sheet(
    pictures: Sequence[Path], columns: int, tile: int, sides: Mapping[int, int]
) -> np.ndarray:
    """Pictures side by side, uint8 BGR; those that cannot be read stay black.

    Args:
        pictures: files of a YOLO-pose data set.
        columns: pictures in a row.
        tile: side of a picture's place, px.
        sides: of the classes in the label files.
    """
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * tile, columns * tile, 3), np.uint8)
    for number, picture in enumerate(pictures):
        y, x = tile * (number // columns), tile * (number % columns)
        drawn = _tile(picture, tile, sides)
        sheet[y : y + drawn.shape[0], x : x + drawn.shape[1]] = drawn
    return sheet


def draw_labels(image: np.ndarray, labels: Sequence[HandLabel]) -> None:
    """Boxes in the colour of their side with its letter, and skeletons, into a picture in place.

    Args:
        image: (H, W, 3) uint8 BGR, contiguous.
        labels: px of that picture; hidden keypoints are drawn hollow.
    """
    for label in labels:
        colour = SIDE_COLOURS.get(label.side, _UNKNOWN_COLOUR)[::-1]
        x0, y0, x1, y1 = np.round(label.box).astype(int).tolist()
        cv2.rectangle(image, (x0, y0), (x1, y1), colour, 2)
        place = (x0 + 3, y0 + 16)
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(image, _LETTERS.get(label.side, "?"), place, font, 0.5, colour, 1, cv2.LINE_AA)
        if label.keypoints is not None:
            draw_skeleton(image, label.keypoints[:, :2], label.keypoints[:, 2] / 2)


def _tile(picture: Path, tile: int, sides: Mapping[int, int]) -> np.ndarray:
    try:
        image = read_image(picture)
    except HandError:
        return np.zeros((tile, tile, 3), np.uint8)
    height, width = image.shape[:2]
    scale = tile / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    try:
        draw_labels(small, read_labels(label_path(picture), size, sides))
    except HandError:  # a bad line: the report names it
        cv2.line(small, (0, 0), (size[0] - 1, size[1] - 1), (0, 0, 255), 2)
    return small
