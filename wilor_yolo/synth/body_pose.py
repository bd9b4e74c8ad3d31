"""Poses of the body: arms by two-bone inverse kinematics, fingers from the hand's own poses.

Rotations are world rotations in the body frame (x left, y back, z up), as `body.pose_body` takes
them. Directions of gestures are given in the frame of the chest and of one side, `(out, forward,
up)`: out points away from the other arm, so that one gesture serves both arms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..skeleton import LEFT, MANO_JOINT_NAMES, MANO_PARENTS
from .body import SUFFIX, BodyModel, BodyShape
from .extra import require
from .poses import FINGER_SPLAY_DEG, THUMB_FLEX_AXIS, THUMB_REST_DIRECTION, flexion_axes

__all__ = ["ArmReach", "align", "finger_rotations", "rotation_about", "solve_arm", "unit"]

njit = require("numba").njit

_MIRROR = np.diag([-1.0, 1.0, 1.0])
_BEND_LIMIT = np.deg2rad(62)  # how far the wrist bends away from the forearm
_TWIST_RANGE = np.deg2rad([-95, 95])  # turn of the forearm about the resting hand's
_PROBE = np.array([0.31, 0.52, 0.8])  # any direction that forearms hardly ever take
_MAKEHUMAN_FINGER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}


def unit(v: np.ndarray) -> np.ndarray:
    """v (..., 3) scaled to length 1."""
    v = np.asarray(v, float)
    return v / (np.sqrt((v * v).sum(-1, keepdims=True)) + 1e-12)


# Single vectors are compiled: numpy's own cross product would take most of a pose's time.
@njit(cache=True)
def _cross(a, b):
    return np.array(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )


@njit(cache=True)
def _length(v):
    return np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])


@njit(cache=True)
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True)
def _rotation_about(axis, angle):
    size = _length(axis) + 1e-12
    x, y, z = axis[0] / size, axis[1] / size, axis[2] / size
    c, s = np.cos(angle), np.sin(angle)
    t = 1.0 - c
    return np.array(
        [
            [c + t * x * x, t * x * y - s * z, t * x * z + s * y],
            [t * x * y + s * z, c + t * y * y, t * y * z - s * x],
            [t * x * z - s * y, t * y * z + s * x, c + t * z * z],
        ]
    )


@njit(cache=True)
def _frame(first, second):
    """Orthonormal columns: `first`, `second` made orthogonal, and their cross product."""
    a = first / (_length(first) + 1e-12)
    b = second - _dot(second, a) * a
    b = b / (_length(b) + 1e-12)
    c = _cross(a, b)
    out = np.empty((3, 3))
    for k in range(3):
        out[k, 0], out[k, 1], out[k, 2] = a[k], b[k], c[k]
    return out


@njit(cache=True)
def _align(a, a2, b, b2):
    old, new = _frame(a, a2), _frame(b, b2)
    out = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for k in range(3):
                out[i, j] += new[i, k] * old[j, k]
    return out


def _double(v: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(v, dtype=np.float64)


def rotation_about(axis: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3) rotation by `angle` radians about `axis` (3,)."""
    return _rotation_about(_double(axis), float(angle))


def align(a: np.ndarray, a2: np.ndarray, b: np.ndarray, b2: np.ndarray) -> np.ndarray:
    """Rotation that takes direction `a` to `b` exactly, and `a2` to `b2` as far as that allows."""
    return _align(_double(a), _double(a2), _double(b), _double(b2))


def _head(model: BodyModel, shape: BodyShape, name: str, side: int) -> np.ndarray:
    """Rest head of a bone; left ones mirrored, so that all hands are right hands here."""
    point = shape.heads[model.bone(name + SUFFIX[side])]
    return point * [-1, 1, 1] if side == LEFT else point


def _tip(model: BodyModel, shape: BodyShape, finger: int, side: int) -> np.ndarray:
    point = shape.vertices[model.tip_vertices[side, finger - 1]]
    return point * [-1, 1, 1] if side == LEFT else point


def rest_hand_frame(model: BodyModel, shape: BodyShape, side: int) -> np.ndarray:
    """Rest axes of the (mirrored, if left) right hand as columns: -fingers, back, thumb side.

    These are the x, y and z of the flat MANO hand.
    """
    wrist = _head(model, shape, "wrist", side)
    middle = _head(model, shape, "finger3-1", side)
    across = _head(model, shape, "finger2-1", side) - _head(model, shape, "finger5-1", side)
    x = -unit(middle - wrist)
    z = unit(across - (across @ x) * x)
    return np.stack([x, np.cross(z, x), z], 1)


def finger_rotations(
    model: BodyModel, shape: BodyShape, side: int, pose: np.ndarray
) -> dict[str, np.ndarray]:
    """Rotations of the 15 finger bones against the wrist bone: world = wrist @ these.

    The resting MakeHuman hand is slightly bent, so every bone is first turned on to its line in
    the flat MANO hand and then by the pose.

    Args:
        pose: (16, 3) axis-angle of a right hand, MANO order, flat-hand convention (`poses.py`).
    """
    frame = rest_hand_frame(model, shape, side)
    flat_axes = flexion_axes()
    world = [np.eye(3)]
    out = {}
    for j in range(1, 16):
        axis_angle = pose[j]
        angle = float(np.linalg.norm(axis_angle))
        local = rotation_about(axis_angle, angle) if angle > 1e-9 else np.eye(3)
        world.append(world[MANO_PARENTS[j]] @ local)
        finger, k = MANO_JOINT_NAMES[j][:-1], int(MANO_JOINT_NAMES[j][-1])
        number = _MAKEHUMAN_FINGER[finger]
        points = [_head(model, shape, f"finger{number}-{i}", side) for i in (1, 2, 3)]
        points.append(_tip(model, shape, number, side))
        direction = points[k] - points[k - 1]
        if finger == "thumb":
            flat_direction, flat_axis = THUMB_REST_DIRECTION, THUMB_FLEX_AXIS
            bend = _cross(points[1] - points[0], points[3] - points[2])
        else:
            splay = np.deg2rad(FINGER_SPLAY_DEG[finger])
            flat_direction = np.array([-np.cos(splay), 0.0, np.sin(splay)])
            flat_axis = flat_axes[j]
            bend = _cross(points[1] - points[0], points[3] - points[2])
            if bend @ frame[:, 2] < 0:  # a finger bent backwards at rest
                bend = frame[:, 2]
            bend = unit(bend) + frame[:, 2]
        straight = align(direction, bend, frame @ flat_direction, frame @ flat_axis)
        turned = frame @ world[j] @ frame.T @ straight
        if side == LEFT:
            turned = _MIRROR @ turned @ _MIRROR
        out[f"finger{number}-{k}{SUFFIX[side]}"] = turned
    return out


def hand_rotation(
    model: BodyModel, shape: BodyShape, side: int, fingers: np.ndarray, palm: np.ndarray
) -> np.ndarray:
    """World rotation of the wrist bone that points the fingers and faces the palm as given.

    Args:
        fingers: (3,) direction wrist to middle knuckle, body frame; palm: (3,) where the palm
            looks, made orthogonal to `fingers`.
    """
    rest = rest_hand_frame(model, shape, side)
    forward, back = -rest[:, 0], rest[:, 1]
    if side == LEFT:
        forward, back = _MIRROR @ forward, _MIRROR @ back
    return align(forward, back, np.asarray(fingers, float), -np.asarray(palm, float))


@dataclass(frozen=True)
class ArmReach:
    """A solved arm.

    Attributes:
        rotations: world rotations of upper arm, forearm (two parts) and wrist.
        cost: 0 for comfortable; above 1 the wrist or the forearm is turned beyond its range.
        elbow, wrist: (3,) positions.
    """

    rotations: dict[str, np.ndarray]
    cost: float
    elbow: np.ndarray
    wrist: np.ndarray


def solve_arm(
    model: BodyModel,
    shape: BodyShape,
    side: int,
    shoulder: np.ndarray,
    target: np.ndarray,
    hand: np.ndarray,
    elbow_hint: np.ndarray,
    body_cost=None,
) -> ArmReach:
    """Reach a wrist position with a given hand rotation.

    Several elbow positions around the line from shoulder to wrist are tried; the one with the
    least twist, the least distance from the hint and the least `body_cost` wins.

    Args:
        shoulder, target: (3,) positions of the upper arm's head and of the wrist.
        hand: (3, 3) wanted world rotation of the wrist; it is turned back into the wrist's range
            where it leaves it.
        elbow_hint: (3,) direction in which the elbow should stick out.
        body_cost: function of elbow and wrist (3,) each, for arms that run through the body.
    """
    s = SUFFIX[side]
    rest = [shape.heads[model.bone(n + s)] for n in ("upperarm01", "lowerarm01", "wrist")]
    upper, fore = rest[1] - rest[0], rest[2] - rest[1]
    a, b = _length(upper), _length(fore)
    upper, fore, shoulder = _double(upper), _double(fore), _double(shoulder)
    hinge = _cross(upper, fore)
    line = target - shoulder
    distance = float(np.clip(_length(line), abs(a - b) + 0.25 * min(a, b), 0.995 * (a + b)))
    along = unit(line)
    wrist = shoulder + distance * along
    reach = (a * a - b * b + distance * distance) / (2 * distance)
    height = np.sqrt(max(a * a - reach * reach, 0.0))
    hint = unit(elbow_hint - (elbow_hint @ along) * along + 1e-6)
    best = None
    for angle in np.deg2rad((0, 20, -20, 40, -40, 65, -65, 95, -95)):
        side_way = _rotation_about(along, angle) @ hint
        elbow = shoulder + reach * along + height * side_way
        new_hinge = _cross(elbow - shoulder, wrist - elbow)
        if _length(new_hinge) < 1e-6:
            new_hinge = _cross(along, np.array([0.0, 0.0, 1.0])) + 1e-3
        turn_upper = _align(upper, hinge, elbow - shoulder, new_hinge)
        turn_fore = _align(fore, hinge, wrist - elbow, new_hinge)
        swing, twist, excess = _wrist_split(turn_fore, hand, unit(wrist - elbow), side)
        cost = excess + 0.25 * abs(angle) + 0.15 * abs(twist)
        if body_cost is not None:
            cost += body_cost(elbow, wrist)
        if best is None or cost < best[0]:
            best = (cost, turn_upper, turn_fore, swing, twist, elbow, excess)
    assert best is not None
    cost, turn_upper, turn_fore, swing, twist, elbow, excess = best
    axis = unit(wrist - elbow)
    rotations = {
        "upperarm01" + s: turn_upper,
        "lowerarm01" + s: rotation_about(axis, 0.15 * twist) @ turn_fore,
        "lowerarm02" + s: rotation_about(axis, 0.65 * twist) @ turn_fore,
        "wrist" + s: swing @ rotation_about(axis, twist) @ turn_fore,
    }
    return ArmReach(rotations, float(cost), elbow, wrist)


def _wrist_split(
    fore: np.ndarray, hand: np.ndarray, axis: np.ndarray, side: int
) -> tuple[np.ndarray, float, float]:
    """Split the hand's turn against the forearm into a swing and a twist about the forearm.

    Returns the swing (3, 3) and the twist, both cut to their ranges, and by how many radians the
    wanted turn exceeds them.
    """
    relative = hand @ fore.T
    moved = relative @ axis
    across = _cross(axis, moved)
    bend = float(np.arctan2(_length(across), _dot(axis, moved)))
    if bend < 1e-6:
        across = np.array([1.0, 0.0, 0.0])
    without = _rotation_about(across, -bend) @ relative
    probe = _cross(axis, _PROBE)
    turned = without @ probe
    twist = float(np.arctan2(_dot(_cross(probe, turned), axis), _dot(probe, turned)))
    low, high = _TWIST_RANGE
    if side == LEFT:
        low, high = -high, -low
    kept = min(max(twist, low), high)
    excess = max(0.0, bend - _BEND_LIMIT) + abs(twist - kept)
    return _rotation_about(across, min(bend, _BEND_LIMIT)), kept, excess
