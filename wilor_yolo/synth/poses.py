"""Plausible hand poses in numpy: named everyday poses, a random sampler, a self-collision check.

A pose is the (16,3) axis-angle array of the MANO order (row 0, the wrist, stays zero: the caller
turns the hand as a whole), relative to the flat hand, right hand, radians. It is built from 21
anatomical angles in degrees (`ANGLE_NAMES`), because limits, couplings and blends are simple there:

- index, middle, ring, pinky: `mcp`, `pip`, `dip` flexion (positive = curling) and `splay`
  (positive = towards the thumb), relative to the straight finger of the flat hand;
- thumb metacarpal: its direction as `radial` (angle in the palm plane from the finger direction
  towards the thumb side) and `palmar` (angle out of that plane towards the palm side), and
  `pronation`, the turn about itself; `thumb_mcp` and `thumb_ip` flexion.

Frame of the flat right hand: fingers along -x, back of the hand +y, thumb side +z.
"""

from __future__ import annotations

import numpy as np

from wilor_yolo.skeleton import MANO_JOINT_NAMES
from wilor_yolo.synth.pose_collision import is_self_colliding, penetration, skeleton_joints
from wilor_yolo.synth.rotations import rotation_matrices

__all__ = [
    "ANGLE_LIMITS",
    "ANGLE_NAMES",
    "FINGER_SPLAY_DEG",
    "NAMED_ANGLES",
    "NAMED_POSES",
    "THUMB_FLEX_AXIS",
    "THUMB_REST_DIRECTION",
    "flexion_axes",
    "is_self_colliding",
    "penetration",
    "pose_from_angles",
    "sample_angles",
    "sample_pose",
    "skeleton_joints",
]

_LONG_FINGERS = ("index", "middle", "ring", "pinky")
ANGLE_NAMES = (
    *(f"{finger}_{angle}" for finger in _LONG_FINGERS for angle in ("mcp", "pip", "dip", "splay")),
    "radial",
    "palmar",
    "pronation",
    "thumb_mcp",
    "thumb_ip",
)
_COLUMN = {name: i for i, name in enumerate(ANGLE_NAMES)}

# Flat hand: each finger's own direction, degrees from straight ahead towards the thumb, and the
# thumb's. The builder of the free hand straightens its fingers on to these very lines.
FINGER_SPLAY_DEG = {"index": 8.0, "middle": 1.0, "ring": -7.0, "pinky": -16.0}
_THUMB_DIRECTION = np.array([-0.62, -0.30, 0.73])
THUMB_REST_DIRECTION = _THUMB_DIRECTION / np.linalg.norm(_THUMB_DIRECTION)
_THUMB_AXIS = np.array([0.0628, -0.9086, -0.4128])
_THUMB_AXIS -= (_THUMB_AXIS @ THUMB_REST_DIRECTION) * THUMB_REST_DIRECTION
THUMB_FLEX_AXIS = _THUMB_AXIS / np.linalg.norm(_THUMB_AXIS)
_REST_RADIAL = float(np.degrees(np.arctan2(THUMB_REST_DIRECTION[2], -THUMB_REST_DIRECTION[0])))
_REST_PALMAR = float(np.degrees(np.arcsin(-THUMB_REST_DIRECTION[1])))

# Active ranges of motion of a healthy adult hand, degrees, rounded; flat-hand zero as above.
_FINGER_LIMITS = {"mcp": (-25, 95), "pip": (-5, 112), "dip": (-8, 80), "splay": (-20, 20)}
_THUMB_LIMITS = {
    "radial": (5, 78),
    "palmar": (0, 66),
    "pronation": (-20, 65),
    "thumb_mcp": (-10, 60),
    "thumb_ip": (-20, 80),
}
ANGLE_LIMITS = np.array(
    [
        _THUMB_LIMITS.get(name, _FINGER_LIMITS.get(name.split("_")[1] if "_" in name else name))
        for name in ANGLE_NAMES
    ],
    dtype=float,
)  # (21,2)


def flexion_axes() -> np.ndarray:
    """(16,3) unit flexion axis of each joint in the flat hand, right-hand rule; wrist row zero."""
    axes = np.zeros((16, 3))
    for j, name in enumerate(MANO_JOINT_NAMES[1:], start=1):
        if name.startswith("thumb"):
            axes[j] = THUMB_FLEX_AXIS
        else:
            splay = np.deg2rad(FINGER_SPLAY_DEG[name[:-1]])
            axes[j] = np.sin(splay), 0.0, np.cos(splay)
    return axes


_AXES = flexion_axes()


def _axis_angle(matrix: np.ndarray) -> np.ndarray:
    """Axis-angle (3,) of one rotation matrix (3,3), through its unit quaternion."""
    m = matrix
    # Each row is 4 q_i q of the quaternion (w,x,y,z); the row of the largest q_i is well scaled.
    rows = np.array(
        [
            [
                1 + m[0, 0] + m[1, 1] + m[2, 2],
                m[2, 1] - m[1, 2],
                m[0, 2] - m[2, 0],
                m[1, 0] - m[0, 1],
            ],
            [
                m[2, 1] - m[1, 2],
                1 + m[0, 0] - m[1, 1] - m[2, 2],
                m[1, 0] + m[0, 1],
                m[0, 2] + m[2, 0],
            ],
            [
                m[0, 2] - m[2, 0],
                m[1, 0] + m[0, 1],
                1 - m[0, 0] + m[1, 1] - m[2, 2],
                m[2, 1] + m[1, 2],
            ],
            [
                m[1, 0] - m[0, 1],
                m[0, 2] + m[2, 0],
                m[2, 1] + m[1, 2],
                1 - m[0, 0] - m[1, 1] + m[2, 2],
            ],
        ]
    )
    quaternion = rows[np.argmax(np.diag(rows))]
    quaternion = quaternion / np.linalg.norm(quaternion)
    if quaternion[0] < 0:
        quaternion = -quaternion
    sine = np.linalg.norm(quaternion[1:])
    if sine < 1e-12:
        return np.zeros(3)
    return quaternion[1:] * (2 * np.arctan2(sine, quaternion[0]) / sine)


def _thumb_base(radial: float, palmar: float, pronation: float) -> np.ndarray:
    """(3,3) rotation of the thumb metacarpal to the given direction, with least twist, plus twist.

    Angles in degrees as in the module docstring; zero twist at the flat hand's own direction.
    """
    r, p = np.deg2rad(radial), np.deg2rad(palmar)
    target = np.array([-np.cos(p) * np.cos(r), -np.sin(p), np.cos(p) * np.sin(r)])
    across = np.cross(THUMB_REST_DIRECTION, target)
    sine = np.linalg.norm(across)
    swing = np.zeros(3)
    if sine > 1e-12:
        swing = across / sine * np.arctan2(sine, THUMB_REST_DIRECTION @ target)
    # Pronation turns the thumb's pad towards the fingers: negative about the outward direction.
    return rotation_matrices(-np.deg2rad(pronation) * target) @ rotation_matrices(swing)


def pose_from_angles(angles: np.ndarray) -> np.ndarray:
    """(16,3) axis-angle of the flat-hand convention from 21 angles in degrees (`ANGLE_NAMES`)."""
    pose = np.zeros((16, 3))
    for finger in _LONG_FINGERS:
        mcp, pip, dip, splay = np.deg2rad(angles[_COLUMN[f"{finger}_mcp"] :][:4])
        first = MANO_JOINT_NAMES.index(f"{finger}1")
        side = rotation_matrices(np.array([0.0, splay, 0.0]))
        pose[first] = _axis_angle(side @ rotation_matrices(_AXES[first] * mcp))
        pose[first + 1] = _AXES[first + 1] * pip
        pose[first + 2] = _AXES[first + 2] * dip
    radial, palmar, pronation, mcp, ip = angles[_COLUMN["radial"] :]
    pose[13] = _axis_angle(_thumb_base(radial, palmar, pronation))
    pose[14] = _AXES[14] * np.deg2rad(mcp)
    pose[15] = _AXES[15] * np.deg2rad(ip)
    return pose


# --- named poses ---------------------------------------------------------------------------------

_FLAT_THUMB = (_REST_RADIAL, _REST_PALMAR, 0, 0, 0)


def _angles(index, middle, ring, pinky, thumb) -> np.ndarray:
    """21 angles from (mcp, pip, dip, splay) per finger and the thumb's five."""
    return np.array([*index, *middle, *ring, *pinky, *thumb], dtype=float)


_STRAIGHT = ((0, 0, 0, 0),) * 4
_CURLED = ((73, 98, 62, -4), (78, 98, 62, 0), (76, 95, 61, 4), (83, 90, 56, 9))
# Thumb laid over the curled index and middle finger.
_THUMB_OVER = (17, 60, 8, 32, 52)

NAMED_ANGLES: dict[str, np.ndarray] = {
    "flat": _angles(*_STRAIGHT, _FLAT_THUMB),
    "flat_together": _angles(
        (0, 0, 0, -5), (0, 0, 0, -1), (0, 0, 0, 4), (0, 0, 0, 8), (24, 12, 0, 0, 5)
    ),
    "spread": _angles(
        (-8, 0, 0, 12), (-6, 0, 0, 2), (-6, 0, 0, -9), (-8, 0, 0, -17), (66, 10, -5, -5, -10)
    ),
    "relaxed": _angles(
        (20, 26, 14, 1), (25, 32, 18, 0), (28, 36, 20, -1), (30, 36, 20, -3), (36, 30, 15, 10, 14)
    ),
    "loose_fist": _angles(
        (50, 70, 38, -2), (56, 76, 42, 0), (60, 78, 44, 2), (62, 76, 44, 5), (27, 48, 17, 15, 27)
    ),
    "fist": _angles(*_CURLED, _THUMB_OVER),
    "point": _angles((2, 4, 2, 0), *_CURLED[1:], _THUMB_OVER),
    "thumbs_up": _angles(*_CURLED, (62, 2, 0, -5, -12)),
    "victory": _angles(
        (0, 4, 2, 9), (0, 4, 2, -7), (76, 95, 61, 2), (83, 90, 56, 6), (6, 55, -2, 39, 46)
    ),
    "three": _angles(
        (0, 4, 2, 9), (0, 4, 2, 0), (0, 6, 3, -9), (83, 90, 56, 6), (6, 50, -15, 55, 41)
    ),
    "call": _angles(*_CURLED[:3], (0, 4, 2, -12), (66, 8, 0, -5, -12)),
    "horns": _angles((0, 4, 2, 6), *_CURLED[1:3], (0, 4, 2, -10), (16, 61, 8, 33, 49)),
    "gun": _angles((0, 4, 2, 0), *_CURLED[1:], (58, 4, 0, -5, -8)),
    "pinch": _angles(
        (44, 49, 23, 0), (28, 34, 18, 0), (24, 30, 16, -2), (20, 26, 14, -4), (17, 58, 23, 12, 18)
    ),
    "ok": _angles(
        (45, 50, 22, 2), (14, 18, 8, 0), (4, 10, 5, -5), (-4, 6, 3, -12), (15, 59, 25, 12, 18)
    ),
    "tripod": _angles(
        (46, 49, 23, -2), (54, 55, 30, 2), (40, 52, 30, 2), (38, 50, 28, 0), (6, 62, 16, 18, 20)
    ),
    "pinch_middle": _angles(
        (18, 22, 10, 4), (49, 54, 28, 2), (26, 32, 18, -2), (20, 26, 14, -5), (6, 62, 8, 19, 18)
    ),
    "key_pinch": _angles(
        (52, 72, 38, 0), (60, 80, 45, 0), (64, 82, 46, 2), (66, 80, 46, 4), (29, 37, 4, 13, 26)
    ),
    "grasp_cylinder": _angles(
        (40, 52, 28, 2), (44, 56, 30, 0), (46, 58, 32, -2), (50, 58, 32, -5), (30, 56, 34, 10, 18)
    ),
    "grasp_ball": _angles(
        (32, 38, 22, 10), (30, 40, 24, 1), (32, 40, 24, -7), (36, 38, 22, -14), (42, 52, 28, 8, 15)
    ),
    "hook": _angles(
        (8, 88, 48, 0), (8, 92, 50, 0), (8, 92, 50, 1), (10, 88, 48, 3), (34, 26, 10, 10, 14)
    ),
    "tabletop": _angles(
        (82, 4, 2, -3), (84, 4, 2, 0), (84, 4, 2, 3), (84, 4, 2, 7), (28, 32, 15, 5, 5)
    ),
    "claw": _angles(
        (-8, 62, 36, 8), (-8, 66, 38, 1), (-8, 66, 38, -7), (-6, 62, 36, -13), (54, 30, 10, 12, 40)
    ),
}
NAMED_POSES: dict[str, np.ndarray] = {k: pose_from_angles(a) for k, a in NAMED_ANGLES.items()}


# --- random poses --------------------------------------------------------------------------------

# Share of the samples drawn by each rule.
_NAMED, _BLEND, _SYNERGY = 0.35, 0.25, 0.25  # the rest: every finger for itself
_MAX_TRIES = 30


def _synergy(rng: np.random.Generator) -> np.ndarray:
    """All fingers close together by one amount, with a little freedom each."""
    close = rng.uniform(-0.05, 1.0)
    spread = rng.normal(0.0, 6.0) * (1 - max(close, 0.0))
    angles = np.zeros(21)
    for i, finger in enumerate(_LONG_FINGERS):
        own = close + 0.06 * i * rng.uniform(0, 1)
        pip = own * 88 + rng.normal(0, 9)
        angles[_COLUMN[f"{finger}_mcp"] :][:4] = (
            own * 68 + rng.normal(0, 9),
            pip,
            pip * rng.uniform(0.45, 0.72),
            spread * (1.5 - i) + rng.normal(0, 3) * (1 - max(close, 0) * 0.7),
        )
    oppose = np.clip(close + rng.normal(0, 0.35), 0, 1)
    angles[_COLUMN["radial"] :] = (
        48 - 24 * oppose + rng.normal(0, 6),
        20 + 28 * oppose + rng.normal(0, 7),
        5 + 28 * oppose + rng.normal(0, 6),
        6 + 26 * oppose + rng.normal(0, 8),
        8 + 34 * oppose + rng.normal(0, 12),
    )
    return angles


def _independent(rng: np.random.Generator) -> np.ndarray:
    """Every finger for itself; neighbours pull each other a little, as tendons do."""
    angles = np.zeros(21)
    curl = rng.uniform(-0.08, 1.05, 4)
    curl = np.array(
        [0.8 * curl[i] + 0.2 * curl[[max(i - 1, 0), min(i + 1, 3)]].mean() for i in range(4)]
    )
    for i, finger in enumerate(_LONG_FINGERS):
        pip = rng.uniform(0, 105) if rng.random() < 0.3 else curl[i] * 100 + rng.normal(0, 10)
        angles[_COLUMN[f"{finger}_mcp"] :][:4] = (
            curl[i] * 80 + rng.normal(0, 10),
            pip,
            pip * rng.uniform(0.4, 0.75),
            rng.normal(0, 7) * (1 - 0.6 * np.clip(curl[i], 0, 1)),
        )
    low, high = ANGLE_LIMITS[_COLUMN["radial"] :].T
    angles[_COLUMN["radial"] :] = low + (high - low) * rng.beta(2.0, 2.2, 5)
    return angles


def sample_angles(rng: np.random.Generator) -> np.ndarray:
    """21 random anatomical angles within `ANGLE_LIMITS`, degrees; may still collide."""
    rule = rng.random()
    names = list(NAMED_ANGLES)
    noise = rng.normal(0, 1, 21) * np.array([5.0, 7.0, 5.0, 2.5] * 4 + [4.0, 4.0, 4.0, 6.0, 8.0])
    if rule < _NAMED:
        angles = NAMED_ANGLES[names[rng.integers(len(names))]] + noise
    elif rule < _NAMED + _BLEND:
        one, two = rng.integers(len(names), size=2)
        # Fingers travel between two gestures at slightly different times.
        share = np.clip(rng.uniform(0, 1) + rng.normal(0, 0.12, 5), 0, 1)
        share = np.repeat(share, (4, 4, 4, 4, 5))
        angles = (1 - share) * NAMED_ANGLES[names[one]] + share * NAMED_ANGLES[names[two]] + noise
    elif rule < _NAMED + _BLEND + _SYNERGY:
        angles = _synergy(rng)
    else:
        angles = _independent(rng)
    # The last joint hardly bends alone: its tendon passes the middle joint.
    for finger in _LONG_FINGERS:
        pip, dip = angles[_COLUMN[f"{finger}_pip"]], _COLUMN[f"{finger}_dip"]
        angles[dip] = np.clip(angles[dip], 0.2 * pip - 10, 0.85 * max(pip, 0) + 12)
    return np.clip(angles, ANGLE_LIMITS[:, 0], ANGLE_LIMITS[:, 1])


def sample_pose(rng: np.random.Generator) -> np.ndarray:
    """(16,3) axis-angle of a random plausible right hand, flat-hand convention, wrist row zero.

    Colliding draws are thrown away; after many in a row the last one is opened step by step
    towards the relaxed hand until it is free.
    """
    for _ in range(_MAX_TRIES):
        angles = sample_angles(rng)
        pose = pose_from_angles(angles)
        if not is_self_colliding(pose):
            return pose
    for share in (0.25, 0.5, 0.75, 1.0):
        opened = (1 - share) * angles + share * NAMED_ANGLES["relaxed"]
        pose = pose_from_angles(opened)
        if not is_self_colliding(pose):
            break
    return pose
