"""Validation with pictures: held-out crops, what is true of them and what the network says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from ..crops import IMAGE_MEAN, IMAGE_STD
from ..geometry import CROP_FOCAL
from ..render.shade import draw_meshes
from ..render.skeleton import draw_skeleton
from ..samples import EncodedSample
from ..whole_files import write_bytes
from .batches import make_batch
from .network import HandNetwork

__all__ = ["crop_pictures", "validation_sheet", "write_validation_sheet"]

_TILE = 192  # px, side of a crop on the sheet
_PAIRS = 4  # crops in a row, each beside its answer
_SKIN = (214, 168, 150)  # RGB


def crop_pictures(crops: torch.Tensor, side: int) -> list[np.ndarray]:
    """Network crops (B, 3, S, S) back to B pictures (side, side, 3) uint8 BGR."""
    rgb = crops.permute(0, 2, 3, 1).cpu().numpy() * IMAGE_STD + IMAGE_MEAN
    pictures = np.clip(np.round(rgb * 255), 0, 255).astype(np.uint8)[..., ::-1]
    return [
        cv2.resize(np.ascontiguousarray(p), (side, side), interpolation=cv2.INTER_AREA)
        for p in pictures
    ]


@torch.inference_mode()
def validation_sheet(
    network: HandNetwork, samples: Sequence[EncodedSample], count: int
) -> np.ndarray:
    """Crops with their true keypoints, each beside the network's mesh on the same crop.

    Args:
        network: put into evaluation mode for the time of the call.
        samples: `count` of them are taken, spread evenly.
        count: at most so many.

    Returns:
        uint8 BGR.
    """
    chosen = np.unique(np.linspace(0, len(samples) - 1, count).round().astype(int))
    batch = make_batch([samples[i] for i in chosen], network.config)
    was_training = network.training
    network.eval()
    output = network(batch.crops.to(next(network.parameters()).device))
    network.train(was_training)
    meshes = (output.vertices + output.cam_t_crop[:, None]).cpu().numpy()
    faces = network.hand.faces.cpu().numpy()
    # Crop units times the tile; the centre of pixel 0 lies half a pixel inside.
    focal = CROP_FOCAL * _TILE
    middle = _TILE / 2 - 0.5
    intrinsics = np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])
    truth = batch.targets.keypoints_2d.numpy()
    tiles = []
    for i, picture in enumerate(crop_pictures(batch.crops, _TILE)):
        answer = picture.copy()
        if np.isfinite(meshes[i]).all():
            draw_meshes(answer, [meshes[i]], faces, intrinsics, [_SKIN], alpha=0.85)
        points = truth[i, :, :2] * _TILE + middle
        draw_skeleton(picture, points, truth[i, :, 2])
        tiles.append(np.concatenate((picture, answer), axis=1))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _PAIRS)
    rows = [np.concatenate(tiles[i : i + _PAIRS], 1) for i in range(0, len(tiles), _PAIRS)]
    return np.concatenate(rows, 0)


def write_validation_sheet(
    path: Path, network: HandNetwork, samples: Sequence[EncodedSample], count: int
) -> np.ndarray:
    """Write :func:`validation_sheet` as a JPEG file, and return it."""
    sheet = validation_sheet(network, samples, count)
    write_bytes(path, cv2.imencode(".jpg", sheet)[1].tobytes())
    return sheet
