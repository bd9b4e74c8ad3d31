"""Augmented training pictures with their labels, side by side: look before you train."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from ultralytics.cfg import get_cfg

from ..render.skeleton import draw_skeleton
from ..skeleton import LEFT, RIGHT, SIDE_COLOURS
from .dataset import HandDataset, build_hand_dataset
from .options import HandOptions
from .presets import training_preset
from .trainer import read_hand_data

__all__ = ["draw_hands", "training_sheet"]

_GREY = (170, 170, 170)  # RGB, a hand of unknown side
_LETTERS = {LEFT: "L", RIGHT: "R"}
_GAP = 2  # px between pictures
_TILE = 480  # px, side up to which a small picture is enlarged, so that lines do not hide it


def training_sheet(
    data: str,
    options: HandOptions,
    settings: Mapping[str, Any],
    count: int = 24,
    columns: int = 6,
) -> np.ndarray:
    """Pictures as a training with these settings is shown them, from the tensors of its batches.

    Args:
        data: path of a data YAML.
        options: the detector's own options.
        settings: Ultralytics training arguments; they override the preset. `seed` draws other
            augmentations, `mosaic=0.0, mixup=0.0, degrees=0.0` shows
            the last epochs, after `close_mosaic`.
        count: pictures, spread evenly over the training set, from the start again if it is smaller.
        columns: pictures in a row.

    Returns:
        uint8 BGR picture. A box is blue for a left hand, orange for a right one and grey for a
        hand of unknown side; a hollow keypoint is hidden.

    Raises:
        HandError: the data YAML or its labels are wrong.
    """
    cfg = get_cfg(overrides={**training_preset(), **settings, "task": "pose", "mode": "train"})
    content = read_hand_data(data)
    dataset = build_hand_dataset(
        cfg, content["train"], 1, content, options, mode="train", rect=False, stride=32
    )
    random.seed(cfg.seed)
    np.random.seed(cfg.seed)
    torch.manual_seed(cfg.seed)
    count = max(count, 1)
    chosen = [i * len(dataset) // count % len(dataset) for i in range(count)]
    return _grid([_tile(dataset, index) for index in chosen], min(columns, count))


def draw_hands(image_bgr: np.ndarray, sides: Tensor, boxes: Tensor, keypoints: Tensor) -> None:
    """Draw labels as a batch holds them into a picture (H, W, 3), in place.

    Args:
        image_bgr: uint8, contiguous.
        sides: (N,) or (N, 1) class, LEFT, RIGHT or UNSURE_CLASS.
        boxes: (N, 4) xywh, normalised.
        keypoints: (N, 21, 3) x and y normalised, visibility 0 to 2.
    """
    height, width = image_bgr.shape[:2]
    size = np.array([width, height])
    for side, box, points in zip(sides.view(-1), boxes.numpy(), keypoints.numpy(), strict=True):
        colour = SIDE_COLOURS.get(side.item(), _GREY)[::-1]
        low = ((box[:2] - box[2:] / 2) * size).round().astype(int)
        high = ((box[:2] + box[2:] / 2) * size).round().astype(int)
        draw_skeleton(image_bgr, points[:, :2] * size, points[:, 2] / 2)
        cv2.rectangle(image_bgr, tuple(low.tolist()), tuple(high.tolist()), colour, 1)
        letter, at = _LETTERS.get(side.item(), "?"), (int(low[0]) + 2, int(low[1]) + 14)
        cv2.putText(image_bgr, letter, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(image_bgr, letter, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def _tile(dataset: HandDataset, index: int) -> np.ndarray:
    sample = dataset[index]
    rgb = sample["img"].permute(1, 2, 0).numpy()
    factor = max(1, _TILE // max(rgb.shape[:2]))
    tile = cv2.resize(np.ascontiguousarray(rgb[..., ::-1]), None, fx=factor, fy=factor)
    draw_hands(tile, sample["cls"], sample["bboxes"], sample["keypoints"])
    return tile


def _grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = np.zeros((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (height + _GAP) * (i // columns), (width + _GAP) * (i % columns)
        sheet[y : y + height, x : x + width] = tile
    return sheet
