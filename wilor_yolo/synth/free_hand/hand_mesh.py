"""The thin 778-vertex mesh and the fine render mesh of the same arm, for every sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wilor_yolo.skeleton import FINGERS, NUM_VERTICES, TIP_VERTICES
from wilor_yolo.synth.free_hand.arm import FINGER_ORDER, FOREARM, WRIST_POSITION, FlatArms
from wilor_yolo.synth.free_hand.decimate import cut_hand, decimate, rim_loop, wrist_cap
from wilor_yolo.synth.free_hand.subdivide import Subdivision, catmull_clark

__all__ = ["HandMesh", "build_hand_mesh", "quantise_weights"]

_CUT_BEHIND_WRIST = 0.028  # metres from the wrist joint towards the elbow
_SMALLEST_WEIGHT = 0.01
_WEIGHT_STEPS = 1024  # multiples of 1/1024 are exact in float16 and sum to exactly 1


@dataclass(frozen=True)
class HandMesh:
    """fine (N,V',3) and thin (N,778,3) vertices of every sample, metres; faces (1538,3);
    cap (14,3) closes the wrist; fine_ids (778,) fine vertex of each thin one; rim (16,) thin
    vertices that were slid on to the plane of the wrist; fine_weights (V',17); weights (778,16).
    """

    subdivision: Subdivision
    fine: np.ndarray
    thin: np.ndarray
    faces: np.ndarray
    cap: np.ndarray
    fine_ids: np.ndarray
    rim: np.ndarray
    fine_weights: np.ndarray
    weights: np.ndarray


def quantise_weights(weights: np.ndarray) -> np.ndarray:
    """Drop tiny skinning weights and round the rest to 1/1024, rows summing to exactly 1."""
    kept = np.where(weights < _SMALLEST_WEIGHT, 0.0, weights)
    kept = kept / kept.sum(1, keepdims=True)
    steps = np.round(kept * _WEIGHT_STEPS)
    rows = np.arange(len(steps))
    steps[rows, steps.argmax(1)] += _WEIGHT_STEPS - steps.sum(1)
    return steps / _WEIGHT_STEPS


def _tip_vertices(points: np.ndarray, used: np.ndarray, arms: FlatArms) -> dict[str, int]:
    """Of each finger the vertex that lies farthest along its last bone, in the mean arm."""
    found = {}
    for f, finger in enumerate(FINGER_ORDER):
        joint = 3 + 3 * f
        on_bone = used[arms.weights[used, joint] > 0.5]
        start, end = arms.joints[0, joint], arms.tips[0, f]
        found[finger] = int(on_bone[np.argmax((points[on_bone] - start) @ (end - start))])
    return found


def _number_vertices(points: np.ndarray, arms: FlatArms, used: np.ndarray, tips: dict[str, int]):
    """(778,) arm vertex of each number: tips at MANO's places, the rest by bone and then by x."""
    order = np.full(NUM_VERTICES, -1)
    for finger, number in zip(FINGERS, TIP_VERTICES, strict=True):
        order[number] = tips[finger]
    bone = arms.weights[:, :FOREARM].argmax(1)
    others = [int(v) for v in used if v not in tips.values()]
    order[order < 0] = sorted(others, key=lambda v: (bone[v], points[v, 0], v))
    return order


def build_hand_mesh(arms: FlatArms, quads: np.ndarray) -> HandMesh:
    """Subdivide all arms once and thin the smoothed mean arm (sample 0) to the MANO format."""
    coarse_count = arms.vertices.shape[1]
    subdivision = catmull_clark(quads, coarse_count)
    fine = np.stack([subdivision.smooth @ arm for arm in arms.vertices])
    fine_weights = subdivision.smooth @ arms.weights
    fine_weights = quantise_weights(np.clip(fine_weights, 0, None))

    points = fine[0, :coarse_count]
    triangles = cut_hand(quads, points, WRIST_POSITION[0] + _CUT_BEHIND_WRIST)
    tips = _tip_vertices(points, np.unique(triangles), arms)
    thin_triangles = decimate(points, triangles, set(tips.values()))
    used = np.unique(thin_triangles)
    order = _number_vertices(points, arms, used, tips)
    renumber = np.full(coarse_count, -1)
    renumber[order] = np.arange(NUM_VERTICES)
    faces = renumber[thin_triangles]
    # Start every face at its smallest vertex and sort: the file does not depend on heap order.
    roll = faces.argmin(1)[:, None]
    faces = np.take_along_axis(faces, (roll + np.arange(3)) % 3, 1)
    faces = faces[np.lexsort(faces.T[::-1])]

    corners = points[order][faces]
    volume = np.einsum("ti,ti->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    if volume < 0:
        faces = faces[:, ::-1]
    # A flat wrist, as MANO's: the rim slides along the forearm on to one plane. Only the thin
    # mesh does; these 16 vertices are the only ones that differ from the render mesh.
    rim = np.array(rim_loop(faces))
    thin = fine[:, order].copy()
    thin[:, rim, 0] = np.median(points[order][rim, 0])

    weights = fine_weights[order, :FOREARM].copy()
    weights[:, 0] += fine_weights[order, FOREARM]
    return HandMesh(
        subdivision, fine, thin, faces, wrist_cap(faces), order, rim, fine_weights, weights
    )
