"""Pictures of a detection data set side by side, with their labels drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from ..detect.sheet import draw_hands
from ..errors import HandError
from ..images import read_image
from ..skeleton import NUM_JOINTS
from .yolo_labels import HandLabel, label_path, read_labels

__all__ = ["label_sheet"]


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
        _draw(small, read_labels(label_path(picture), size, sides))
    except HandError:  # a bad line: the report names it
        cv2.line(small, (0, 0), (size[0] - 1, size[1] - 1), (0, 0, 255), 2)
    return small


def _draw(image: np.ndarray, labels: Sequence[HandLabel]) -> None:
    size = np.array(image.shape[1::-1])
    corners = np.array([label.box for label in labels]).reshape(-1, 2, 2) / size
    boxes = np.concatenate((corners.mean(1), corners[:, 1] - corners[:, 0]), axis=1)
    keypoints = np.zeros((len(labels), NUM_JOINTS, 3))
    for row, label in zip(keypoints, labels, strict=True):
        if label.keypoints is not None:
            row[:] = label.keypoints / (*size, 1)
    classes = torch.tensor([label.side for label in labels])
    draw_hands(image, classes, torch.from_numpy(boxes), torch.from_numpy(keypoints))
