"""From a MakeHuman arm to a flat MANO-like one: canonical frame and straight fingers.

Canonical frame of the right hand (MANO's): fingers along -x, back of the hand +y, thumb side +z,
wrist joint at `WRIST_POSITION`. MakeHuman's resting fingers are slightly bent and its thumb is
opposed; both are undone by skinning, per sample, so that the shape space holds shape and no pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wilor_yolo.errors import HandError
from wilor_yolo.skeleton import MANO_JOINT_NAMES, MANO_PARENTS
from wilor_yolo.synth.free_hand.sample_bodies import ArmSamples
from wilor_yolo.synth.poses import FINGER_SPLAY_DEG, THUMB_FLEX_AXIS, THUMB_REST_DIRECTION

__all__ = ["FINGER_ORDER", "FOREARM", "WRIST_POSITION", "FlatArms", "flatten_arms"]

WRIST_POSITION = np.array([0.095, 0.006, 0.006])  # metres, close to MANO's wrist
FOREARM = 16  # column of the forearm, a 17th bone that only the render mesh has
FINGER_ORDER = ("index", "middle", "pinky", "ring", "thumb")  # as the MANO joints come
_MAKEHUMAN_FINGER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}


@dataclass(frozen=True)
class FlatArms:
    """N arms with straight fingers in the canonical frame, metres.

    vertices (N,V,3); joints (N,16,3) MANO order; tips (N,5,3) bone ends of `FINGER_ORDER`;
    weights (V,17), the 16 joints and the forearm, rows sum to 1.
    """

    vertices: np.ndarray
    joints: np.ndarray
    tips: np.ndarray
    weights: np.ndarray


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def _frame(direction: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(...,3,3) frames: columns are the direction, the axis made square to it, their cross."""
    first = _unit(direction)
    second = _unit(axis - (axis * first).sum(-1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], -1)


def _makehuman_bones() -> list[str]:
    return ["wrist.R"] + [
        f"finger{_MAKEHUMAN_FINGER[name[:-1]]}-{name[-1]}.R" for name in MANO_JOINT_NAMES[1:]
    ]


def _merge_weights(samples: ArmSamples, sources: list[str]) -> np.ndarray:
    """(V,17): metacarpals follow the wrist joint, everything above it is forearm."""
    merged = np.zeros((len(samples.weights), 17))
    for column, bone in zip(samples.weights.T, samples.bones, strict=True):
        if bone in sources:
            merged[:, sources.index(bone)] += column
        elif bone.startswith("metacarpal"):
            merged[:, 0] += column
        else:
            merged[:, FOREARM] += column
    return merged


def _straightening(joints: np.ndarray, tips: np.ndarray, elbow: np.ndarray) -> np.ndarray:
    """(N,17,3,3) rotations that lay every bone on its line of the flat hand."""
    count = len(joints)
    turns = np.tile(np.eye(3), (count, 17, 1, 1))
    for f, finger in enumerate(FINGER_ORDER):
        first = 1 + 3 * f
        chain = [joints[:, first], joints[:, first + 1], joints[:, first + 2], tips[:, f]]
        bones = [_unit(chain[k + 1] - chain[k]) for k in range(3)]
        # The resting bend of the mean finger shows about which axis MakeHuman's finger flexes.
        axis = _unit(np.cross(bones[0], bones[2]).mean(0))
        if finger == "thumb":
            target, target_axis = THUMB_REST_DIRECTION, THUMB_FLEX_AXIS
        else:
            splay = np.deg2rad(FINGER_SPLAY_DEG[finger])
            target = np.array([-np.cos(splay), 0.0, np.sin(splay)])
            target_axis = np.array([np.sin(splay), 0.0, np.cos(splay)])
            if axis @ target_axis < 0:
                axis = -axis
        for k in range(3):
            turns[:, first + k] = _frame(target, target_axis) @ np.swapaxes(
                _frame(bones[k], axis), -1, -2
            )
    up = np.array([0.0, 1.0, 0.0])
    turns[:, FOREARM] = _frame(np.array([1.0, 0.0, 0.0]), up) @ np.swapaxes(
        _frame(elbow, up), -1, -2
    )
    return turns


def skin_affine(
    vertices: np.ndarray,
    joints: np.ndarray,
    tips: np.ndarray,
    weights: np.ndarray,
    linear: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Apply one linear map per bone about its joint, chained along the skeleton, and skin.

    vertices (N,V,3), joints (N,16,3), tips (N,5,3), weights (V,17), linear (N,17,3,3): what happens
    to the bone's own segment, in the common frame (not relative to its parent). Returns the three
    moved arrays; the wrist stays, the forearm turns about it.
    """
    moved = np.zeros_like(joints)
    for j in range(16):
        parent = MANO_PARENTS[j]
        if parent < 0:
            moved[:, j] = joints[:, j]
            continue
        segment = np.einsum("nab,nb->na", linear[:, parent], joints[:, j] - joints[:, parent])
        moved[:, j] = moved[:, parent] + segment
    last = [3, 6, 9, 12, 15]
    moved_tips = moved[:, last] + np.einsum(
        "njab,njb->nja", linear[:, last], tips - joints[:, last]
    )
    before = np.concatenate([joints, joints[:, :1]], 1)
    after = np.concatenate([moved, moved[:, :1]], 1)
    skinned = np.zeros_like(vertices)
    for j in range(17):
        on = weights[:, j] > 0
        local = vertices[:, on] - before[:, j, None]
        placed = np.einsum("nab,nvb->nva", linear[:, j], local) + after[:, j, None]
        skinned[:, on] += weights[None, on, j, None] * placed
    return skinned, moved, moved_tips


def flatten_arms(samples: ArmSamples) -> FlatArms:
    """Straight-fingered arms in the canonical frame, still in each body's own size."""
    sources = _makehuman_bones()
    column = {str(name): i for i, name in enumerate(samples.bones)}
    missing = [name for name in (*sources, "lowerarm01.R") if name not in column]
    if missing:
        raise HandError(f"the arm samples lack the bone {missing[0]}: sample them again")
    joints = samples.heads[:, [column[name] for name in sources]].astype(np.float64)
    last_bones = [f"finger{_MAKEHUMAN_FINGER[f]}-3.R" for f in FINGER_ORDER]
    tips = samples.tails[:, [column[name] for name in last_bones]].astype(np.float64)
    elbow = samples.heads[:, column["lowerarm01.R"]].astype(np.float64)
    weights = _merge_weights(samples, sources)

    # x from the middle knuckle to the wrist, z from the little to the index knuckle, y square.
    x = _unit(joints[:, 0] - joints[:, 4])
    y = _unit(np.cross(joints[:, 1] - joints[:, 7], x))
    to_frame = np.stack([x, y, np.cross(x, y)], 1)
    origin = joints[:, :1].copy()

    def canonical(points: np.ndarray) -> np.ndarray:
        return np.einsum("nab,nkb->nka", to_frame, points - origin)

    vertices = canonical(samples.vertices.astype(np.float64))
    joints, tips = canonical(joints), canonical(tips)
    elbow = canonical(elbow[:, None])[:, 0]
    turns = _straightening(joints, tips, elbow)
    vertices, joints, tips = skin_affine(vertices, joints, tips, weights, turns)
    return FlatArms(
        vertices + WRIST_POSITION, joints + WRIST_POSITION, tips + WRIST_POSITION, weights
    )
