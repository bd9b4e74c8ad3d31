"""Smooth paths of a hand through time: place, orientation and finger angles. Pure maths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .extra import require
from .pose_collision import is_self_colliding
from .poses import ANGLE_LIMITS, pose_from_angles, sample_angles
from .rotations import rotation_matrices
from .viewpoint import sample_orientation

__all__ = ["HandMotion", "sample_motion", "sample_shake"]

_BEAT = (0.5, 1.1)  # seconds between two gestures
_TURN = 0.45  # radians, deviation of an axis from one gesture to the next
_LEAVES = 0.12  # share of the gestures that take place outside of the picture
_REST_SHARE = 0.25  # of the gestures repeat the one before: hands that hold still
_TRIES = 20
_HAND, _NEAREST = 0.18, 0.3  # metres: length of a hand; nearest wrist


@dataclass(frozen=True)
class HandMotion:
    """A right hand at T times.

    Attributes:
        angles: (T, 21) degrees, `poses.ANGLE_NAMES`; poses: (T, 16, 3) axis-angle.
        rotations: (T, 3, 3) from the hand's frame to the world's.
        places: (T, 3) metres, the wrist.
    """

    angles: np.ndarray
    poses: np.ndarray
    rotations: np.ndarray
    places: np.ndarray


def sample_motion(
    rng: np.random.Generator,
    times: np.ndarray,
    intrinsics: np.ndarray,
    size: tuple[int, int],
    middle: float = 0.5,
) -> HandMotion:
    """Draw a motion in front of a camera at rest.

    Place is twice differentiable, orientation too; angles once, and never beyond their limits.

    Args:
        times: (T,) seconds, rising.
        intrinsics: K (3, 3) px.
        size: (width, height) px.
        middle: where the hand mostly is, 0 left to 1 right.
    """
    interpolate = require("scipy.interpolate")
    rotation = require("scipy.spatial.transform")
    knots = _knots(rng, float(times[0]), float(times[-1]))
    gestures: list[np.ndarray] = []
    turns: list[np.ndarray] = []
    places: list[np.ndarray] = []
    for k in range(len(knots)):
        if k and rng.random() < _REST_SHARE:
            gestures.append(gestures[-1])
            turns.append(turns[-1])
            places.append(places[-1])
            continue
        gestures.append(_next_gesture(rng, gestures[-1] if gestures else None))
        turn = turns[-1] if turns else sample_orientation(rng)
        turns.append(rotation_matrices(rng.normal(0, _TURN, 3)) @ turn if k else turn)
        places.append(_place(rng, intrinsics, size, middle, bool(k)))
    angles = interpolate.PchipInterpolator(knots, gestures)(times)
    angles = np.clip(angles, ANGLE_LIMITS[:, 0], ANGLE_LIMITS[:, 1])
    # The logarithm of the depth: a spline may swing beyond its knots, but not behind the eye.
    logged = np.array(places)
    logged[:, 2] = np.log(logged[:, 2])
    path = interpolate.CubicSpline(knots, logged)(times)
    path[:, 2] = np.exp(path[:, 2])
    turned = rotation.RotationSpline(knots, rotation.Rotation.from_matrix(turns))(times)
    poses = np.stack([pose_from_angles(one) for one in angles])
    return HandMotion(angles, poses, turned.as_matrix(), path)


def sample_shake(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """(T, 3, 3) rotations from the world to a camera in somebody's hand; a third stand still.

    The camera turns and does not walk: what lies far behind the hands then moves as a whole.
    """
    if rng.random() < 0.33:
        return np.tile(np.eye(3), (len(times), 1, 1))
    interpolate = require("scipy.interpolate")
    knots = _knots(rng, float(times[0]), float(times[-1]))
    turns = rng.normal(0, 1, (len(knots), 3)) * np.deg2rad([1.5, 2.5, 0.8])
    return rotation_matrices(interpolate.CubicSpline(knots, turns)(times))


def _knots(rng: np.random.Generator, start: float, end: float) -> np.ndarray:
    """Times of the gestures; from before the first to after the last, so that nothing starts."""
    knots = [start - rng.uniform(0.1, _BEAT[1])]
    while knots[-1] < end or len(knots) < 4:
        knots.append(knots[-1] + rng.uniform(*_BEAT))
    return np.array(knots)


def _next_gesture(rng: np.random.Generator, before: np.ndarray | None) -> np.ndarray:
    """Angles (21,) whose way from the ones before does not lead through the hand itself."""
    for _ in range(_TRIES):
        angles = sample_angles(rng)
        shares = (1.0,) if before is None else (0.25, 0.5, 0.75, 1.0)
        first = angles if before is None else before
        between = ((1 - s) * first + s * angles for s in shares)
        if not any(is_self_colliding(pose_from_angles(one)) for one in between):
            return angles
    return angles if before is None else before


def _place(
    rng: np.random.Generator,
    intrinsics: np.ndarray,
    size: tuple[int, int],
    middle: float,
    may_leave: bool,
) -> np.ndarray:
    """A wrist (3,) of a hand that is 0.22 to 0.6 pictures large and mostly inside."""
    share = np.array([rng.normal(middle, 0.13), rng.normal(0.55, 0.15)])
    if may_leave and rng.random() < _LEAVES:
        share[int(rng.integers(2))] += rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 1.0)
    large = np.exp(rng.uniform(np.log(0.22), np.log(0.6)))
    depth = max(intrinsics[0, 0] * _HAND / (large * min(size)), _NEAREST)
    pixel = share * (np.array(size) - 1)
    ray = (pixel - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
    return depth * np.array([*ray, 1.0])
