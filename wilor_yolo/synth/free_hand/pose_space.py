"""Mean pose and pose components of the hand file, from the pose sampler."""

from __future__ import annotations

import numpy as np

from wilor_yolo.synth.poses import NAMED_POSES, sample_pose

__all__ = ["fit_pose_space"]


def fit_pose_space(count: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """hands_mean (45,), the relaxed hand, and hands_components (45,45).

    The components are orthonormal rows sorted by the variance of sampled poses about the relaxed
    one, axis-angle, radians.
    """
    rng = np.random.default_rng(seed)
    poses = np.stack([sample_pose(rng)[1:].ravel() for _ in range(count)])
    mean = NAMED_POSES["relaxed"][1:].ravel()
    _, components = np.linalg.eigh(np.cov(poses.T))
    components = components.T[::-1]
    # An eigenvector's sign is arbitrary: the largest entry is made positive.
    largest = np.take_along_axis(components, np.abs(components).argmax(1)[:, None], 1)
    return mean, components * np.sign(largest)
