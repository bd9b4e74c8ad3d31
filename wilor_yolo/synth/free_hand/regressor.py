"""Joints as sparse, non-negative, unit-sum averages of nearby vertices (MANO's J_regressor)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

__all__ = ["fit_joint_regressor"]

_NEAREST = 60  # candidate vertices per joint; the wrist has nothing beyond its rim, so it gets more
_NEAREST_WRIST = 90
_SUM_WEIGHT = 1e4  # holds the weights to a sum of one
_RIDGE = 0.05  # keeps the weights small per square root of sample
_SAMPLES = 120


def fit_joint_regressor(vertices: np.ndarray, joints: np.ndarray, seed: int = 0) -> np.ndarray:
    """(J,V) regressor from sampled flat hands: vertices (N,V,3) and rig joints (N,J,3), metres.

    The joints of the shipped hand are then defined as `regressor @ vertices`.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(vertices), min(_SAMPLES, len(vertices)), replace=False))
    mean_vertices, mean_joints = vertices.mean(0), joints.mean(0)
    regressor = np.zeros((joints.shape[1], vertices.shape[1]))
    ridge = _RIDGE * np.sqrt(len(chosen))
    for j, centre in enumerate(mean_joints):
        distance = np.linalg.norm(mean_vertices - centre, axis=1)
        near = np.argsort(distance, kind="stable")[: _NEAREST if j else _NEAREST_WRIST]
        rows = 1e3 * vertices[chosen][:, near].transpose(0, 2, 1).reshape(-1, len(near))
        matrix = np.vstack([rows, np.full((1, len(near)), _SUM_WEIGHT), ridge * np.eye(len(near))])
        target = np.concatenate(
            [1e3 * joints[chosen, j].reshape(-1), [_SUM_WEIGHT], np.zeros(len(near))]
        )
        weights, _ = nnls(matrix, target, maxiter=5000)
        regressor[j, near] = weights / weights.sum()
    return regressor
