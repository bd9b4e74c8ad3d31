"""Steadiness of frame-by-frame reconstructions (paper section 5.3, Table 6): pure functions.

The paper gives words and no formulas: the mean distance of vertices and joints between consecutive
frames (MPFVE, MPFJE; the paper prints both times 100), the jerk of the joints "similar to" Shin et
al. 2024 (Jitter), and the "displacement of the wrist across frames" (RTE). None of them knows the
truth: a hand that moves scores worse than one at rest, so compare methods on the same video only.
Lengths are metres; whether the paper's tables are metres or millimetres is not said.

Frames that were not seen are NaN; whatever touches one is left out of the means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = [
    "TemporalScores",
    "frame_distance",
    "jitter",
    "root_translation",
    "root_translation_error",
    "score_motion",
]

_JITTER_UNIT = 10.0  # m/s^3 in one unit of jitter, as the body-motion literature prints it


@dataclass(frozen=True)
class TemporalScores:
    """Table 6 for one sequence.

    Attributes:
        frames: number of frames.
        mpfve, mpfje: metres a frame, mean of vertices and of joints.
        jitter: mean jerk of the joints, 10 m/s^3.
        rte: metres a frame, mean displacement of the wrist.
    """

    frames: int
    mpfve: float
    mpfje: float
    jitter: float
    rte: float


def score_motion(vertices: np.ndarray, joints: np.ndarray, fps: float) -> TemporalScores:
    """All four numbers of one hand's sequence.

    Args:
        vertices: (T, V, 3) metres in one camera.
        joints: (T, K, 3) metres in the same camera, the wrist first.
        fps: frames a second.
    """
    return TemporalScores(
        frames=len(joints),
        mpfve=frame_distance(vertices),
        mpfje=frame_distance(joints),
        jitter=jitter(joints, fps),
        rte=root_translation(joints[:, 0]),
    )


def frame_distance(points: np.ndarray) -> float:
    """Mean Euclidean distance of points (T, K, 3) between consecutive frames (MPFVE, MPFJE).

    NaN with fewer than two frames.
    """
    return _mean_length(np.diff(np.asarray(points, np.float64), axis=0))


def jitter(joints: np.ndarray, fps: float) -> float:
    """Mean length of the third derivative of joints (T, K, 3), metres, in units of 10 m/s^3.

    NaN with fewer than four frames.
    """
    jerk = np.diff(np.asarray(joints, np.float64), n=3, axis=0) * fps**3
    return _mean_length(jerk) / _JITTER_UNIT


def root_translation(root: np.ndarray) -> float:
    """Mean displacement of the wrist (T, 3) between consecutive frames, metres."""
    return frame_distance(np.asarray(root)[:, None])


def root_translation_error(root: np.ndarray, target: np.ndarray) -> float:
    """Mean error of the wrist's displacement between consecutive frames, metres.

    Unlike :func:`root_translation` it needs the truth and is zero for a perfect method.

    Args:
        root, target: (T, 3) metres.
    """
    moved = np.diff(np.asarray(root, np.float64), axis=0)
    return _mean_length(moved - np.diff(np.asarray(target, np.float64), axis=0))


def _mean_length(vectors: np.ndarray) -> float:
    lengths = np.linalg.norm(vectors, axis=-1)
    known = np.isfinite(lengths)
    return float(lengths[known].mean()) if known.any() else float("nan")
