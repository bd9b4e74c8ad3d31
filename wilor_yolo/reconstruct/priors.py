"""Real poses and shapes for the discriminator, taken from samples that have parameters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from ..errors import NPZ_ERRORS, HandError
from ..samples import EncodedSample
from ..whole_files import replacing

__all__ = ["collect_prior", "draw_prior", "load_prior", "save_prior"]

NUM_POSE = 45


def collect_prior(samples: Iterable[EncodedSample], most: int = 5000) -> np.ndarray:
    """Pose (45, axis-angle) and betas (10) side by side: (M, 55) float32, M <= `most`.

    Where there are more, M of them at random (always the same), in their order. M is 0 when no
    sample has parameters; there is no adversarial loss then.

    Raises:
        HandError: a label is damaged or holds numbers that are not finite; it names the sample.
    """
    rng = np.random.default_rng(0)
    kept: list[tuple[int, np.ndarray]] = []
    seen = 0
    for sample in samples:
        parameters = sample.read_parameters()
        if parameters is None:
            continue
        row = (seen, np.concatenate(parameters))
        # Reservoir sampling: every sample has the same chance, in one pass.
        if len(kept) < most:
            kept.append(row)
        elif (place := int(rng.integers(0, seen + 1))) < most:
            kept[place] = row
        seen += 1
    rows = [row for _, row in sorted(kept, key=lambda item: item[0])]
    return np.array(rows, np.float32).reshape(-1, NUM_POSE + 10)


def draw_prior(prior: np.ndarray, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random rows as rotations (count, 15, 3, 3) and betas (count, 10)."""
    rows = torch.from_numpy(prior[rng.integers(0, len(prior), count)])
    poses = roma.rotvec_to_rotmat(rows[:, :NUM_POSE].reshape(count, 15, 3))
    return poses, rows[:, NUM_POSE:]


def save_prior(path: Path, prior: np.ndarray, source: str) -> None:
    """Write real poses and shapes as an `.npz`: `hand_pose` (M, 45), `betas` (M, 10), `source`."""
    poses, betas = prior[:, :NUM_POSE], prior[:, NUM_POSE:]
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, hand_pose=poses, betas=betas, source=np.array(source))


def load_prior(path: Path) -> np.ndarray:
    """Read real poses and shapes: (M, 55), axis-angle relative to the flat right hand, and betas.

    Poses of 48 numbers have the global orientation in front, which is left out.

    Raises:
        HandError: the file is missing, holds something else, or numbers that are not finite.
    """
    if not path.is_file():
        raise HandError(f"prior {path} does not exist; make one with: wilor-yolo reconstruct prior")
    try:
        with np.load(path, allow_pickle=False) as data:
            pose = np.asarray(data["hand_pose"], np.float32)
            betas = np.asarray(data["betas"], np.float32)
    except NPZ_ERRORS as error:
        raise HandError(f"{path} is no prior with hand_pose and betas: {error}.") from None
    pose, betas = (a.reshape(len(a), -1) if a.size and a.ndim else a for a in (pose, betas))
    if pose.shape[1:] == (NUM_POSE + 3,):
        pose = pose[:, 3:]
    if not pose.size or pose.shape[1:] != (NUM_POSE,) or betas.shape != (len(pose), 10):
        raise HandError(
            f"{path}: hand_pose {pose.shape} and betas {betas.shape} should be (M, 45) and (M, 10)."
        )
    rows = np.concatenate((pose, betas), axis=1)
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows).all(axis=1)).argmax())
        raise HandError(f"{path}: row {bad} holds NaN or infinity.")
    return rows
