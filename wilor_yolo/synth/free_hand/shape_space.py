"""Ten shape numbers (betas) from sampled hands: principal components of unit variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["NUM_BETAS", "ShapeSpace", "explain_with_betas", "fit_shape_space"]

NUM_BETAS = 10


@dataclass(frozen=True)
class ShapeSpace:
    """mean (V,3) m; directions (V,3,10) m per standard deviation; betas (N,10) of the samples;
    explained (10,) share of the variance."""

    mean: np.ndarray
    directions: np.ndarray
    betas: np.ndarray
    explained: np.ndarray


def fit_shape_space(vertices: np.ndarray, size: np.ndarray) -> ShapeSpace:
    """PCA of vertices (N,V,3) m. Signs are set so that every beta grows with `size` (N,)."""
    count = len(vertices)
    flat = vertices.reshape(count, -1)
    mean = flat.mean(0)
    left, singular, right = np.linalg.svd(flat - mean, full_matrices=False)
    deviation = singular[:NUM_BETAS] / np.sqrt(count - 1)
    betas = left[:, :NUM_BETAS] * np.sqrt(count - 1)
    centred = size - size.mean()
    signs = np.where(betas.T @ centred < 0, -1.0, 1.0)
    directions = (right[:NUM_BETAS] * (signs * deviation)[:, None]).T
    return ShapeSpace(
        mean=mean.reshape(-1, 3),
        directions=directions.reshape(-1, 3, NUM_BETAS),
        betas=betas * signs,
        explained=singular[:NUM_BETAS] ** 2 / np.sum(singular**2),
    )


def explain_with_betas(vertices: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares mean (V,3) and directions (V,3,10) of other vertices (N,V,3) of the same hands.

    This is how the render mesh gets the same betas as the 778-vertex hand.
    """
    design = np.concatenate([np.ones((len(betas), 1)), betas], 1)
    solution = np.linalg.lstsq(design, vertices.reshape(len(vertices), -1), rcond=None)[0]
    return solution[0].reshape(-1, 3), solution[1:].T.reshape(-1, 3, betas.shape[1])
