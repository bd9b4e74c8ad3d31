"""Real poses and shapes for the discriminator, taken from samples that have parameters."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import roma
import torch
from torch import Tensor

from ..samples import EncodedSample

__all__ = ["collect_prior", "draw_prior"]

NUM_POSE = 45


def collect_prior(samples: Iterable[EncodedSample], most: int = 5000) -> np.ndarray:
    """Pose (45, axis-angle) and betas (10) side by side: (M, 55) float32, M <= `most`.

    M is 0 when no sample has parameters; there is no adversarial loss then.
    """
    rows = []
    for sample in samples:
        label = json.loads(sample.label)
        if label.get("hand_pose") is not None and label.get("betas") is not None:
            rows.append([*label["hand_pose"], *label["betas"]])
            if len(rows) >= most:
                break
    return np.array(rows, np.float32).reshape(-1, NUM_POSE + 10)


def draw_prior(prior: np.ndarray, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random rows as rotations (count, 15, 3, 3) and betas (count, 10)."""
    rows = torch.from_numpy(prior[rng.integers(0, len(prior), count)])
    poses = roma.rotvec_to_rotmat(rows[:, :NUM_POSE].reshape(count, 15, 3))
    return poses, rows[:, NUM_POSE:]
