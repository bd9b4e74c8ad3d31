"""The numbers of the FreiHAND and HO3D challenges: pure functions of numpy arrays.

As their public evaluation scripts compute them, except that alignments never mirror: theirs may
turn a left hand into a right one to fit better, and that a mesh of another topology than that of
the truth is moved just as its joints are: theirs centres and scales it otherwise. Points are metres
in, errors millimetres out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from .pose import auc, f_scores, pa_errors, point_errors
from .procrustes import align_similarity, fit_similarity

__all__ = ["ChallengeScores", "align_scale_translation", "score_hands"]

_CHUNK = 200  # hands at once; bounds memory


@dataclass(frozen=True)
class ChallengeScores:
    """Means over all hands; lengths in mm, the rest 0..1. Vertices may be NaN: not predicted.

    Attributes:
        count: hands.
        pa_mpjpe, pa_mpvpe: after Procrustes alignment (joints and vertices each with their own).
        auc_joints, auc_vertices: of the aligned errors, 0 to 50 mm.
        f5, f15: F-score of the aligned vertices.
        scaled_mpjpe, scaled_auc: joints moved to the true wrist and scaled by one bone.
        root_mpjpe, root_mpvpe: wrists laid on each other, nothing else.
        mpjpe, mpvpe: as predicted, in the camera.
        raw_f5, raw_f15: F-score of the vertices as predicted.
    """

    count: int
    pa_mpjpe: float
    pa_mpvpe: float
    auc_joints: float
    auc_vertices: float
    f5: float
    f15: float
    scaled_mpjpe: float
    scaled_auc: float
    root_mpjpe: float
    root_mpvpe: float
    mpjpe: float
    mpvpe: float
    raw_f5: float
    raw_f15: float

    def numbers(self) -> dict[str, float]:
        """Plain numbers for a file."""
        return asdict(self)


def align_scale_translation(
    points: np.ndarray, target: np.ndarray, bone: tuple[int, int]
) -> np.ndarray:
    """Points (N, K, 3) scaled so that one bone has its true length, then put on the true root.

    Args:
        points, target: (N, K, 3).
        bone: root and the joint at the bone's other end (HO3D: wrist and middle knuckle).
    """
    root, end = bone
    length = np.linalg.norm(points[:, end] - points[:, root], axis=-1)
    wanted = np.linalg.norm(target[:, end] - target[:, root], axis=-1)
    scale = np.where(length > 0, wanted / np.maximum(length, 1e-12), 1.0)
    relative = (points - points[:, root, None]) * scale[:, None, None]
    return relative + target[:, root, None]


def score_hands(
    joints: np.ndarray,
    vertices: np.ndarray | None,
    true_joints: np.ndarray,
    true_vertices: np.ndarray,
    bone: tuple[int, int],
) -> ChallengeScores:
    """All numbers of the challenges.

    Args:
        joints, true_joints: (N, 21, 3) metres, the same order, the wrist first.
        vertices: (N, V, 3) metres, or None. When V is not that of the truth, the mesh is another
            topology: then only its F-scores mean something, aligned by the joints' alignment.
        true_vertices: (N, 778, 3).
        bone: see :func:`align_scale_translation`.
    """
    lists: dict[str, list[np.ndarray]] = {}

    def keep(**values: np.ndarray) -> None:
        for name, value in values.items():
            lists.setdefault(name, []).append(value)

    for start in range(0, len(joints), _CHUNK):
        part = slice(start, start + _CHUNK)
        j, t = joints[part].astype(np.float64), true_joints[part].astype(np.float64)
        keep(
            pa_joints=pa_errors(j, t),
            scaled=point_errors(align_scale_translation(j, t, bone), t),
            root_joints=point_errors(j - j[:, :1], t - t[:, :1]),
            joints=point_errors(j, t),
        )
        if vertices is None:
            continue
        v, w = vertices[part].astype(np.float64), true_vertices[part].astype(np.float64)
        if v.shape == w.shape:
            aligned = align_similarity(v, w)
            keep(
                pa_vertices=point_errors(aligned, w),
                root_vertices=point_errors(v - j[:, :1], w - t[:, :1]),
                vertices=point_errors(v, w),
            )
        else:
            aligned = fit_similarity(j, t).apply(v)
        keep(f=f_scores(aligned, w), raw_f=f_scores(v, w))

    def mean(name: str, column: int | None = None) -> float:
        if name not in lists:
            return float("nan")
        values = np.concatenate(lists[name])
        return float(values.mean() if column is None else values[:, column].mean())

    def area(name: str) -> float:
        return auc(np.concatenate(lists[name])) if name in lists else float("nan")

    return ChallengeScores(
        count=len(joints),
        pa_mpjpe=mean("pa_joints"),
        pa_mpvpe=mean("pa_vertices"),
        auc_joints=area("pa_joints"),
        auc_vertices=area("pa_vertices"),
        f5=mean("f", 0),
        f15=mean("f", 1),
        scaled_mpjpe=mean("scaled"),
        scaled_auc=area("scaled"),
        root_mpjpe=mean("root_joints"),
        root_mpvpe=mean("root_vertices"),
        mpjpe=mean("joints"),
        mpvpe=mean("vertices"),
        raw_f5=mean("raw_f", 0),
        raw_f15=mean("raw_f", 1),
    )
