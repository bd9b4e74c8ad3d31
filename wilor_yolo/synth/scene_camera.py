"""Where the camera of a scene with people stands and what it looks at.

World frame: z up, the floor at z = 0, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body_pose import unit
from .people import Person

__all__ = ["Camera", "camera_at", "intrinsics_of", "is_free", "look_at", "near_camera"]

_ANY_SIDE = 0.4  # share of close-ups from any direction that the body leaves free
_TRIES = 10
_TRUNK, _HEAD = 0.2, 0.17  # metres about the chest and between the eyes that a body fills
_TOUCH = 0.12  # metres from a hand that lies on the body to the free
_Z = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Camera:
    """Where the camera is: eye (3,), rotation with rows right, down, forward; K (3, 3)."""

    eye: np.ndarray
    rotation: np.ndarray
    intrinsics: np.ndarray

    def see(self, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) in the frame of the camera."""
        return (points - self.eye) @ self.rotation.T


def look_at(eye: np.ndarray, target: np.ndarray, roll: float) -> np.ndarray:
    """World to camera (3, 3) for an eye (3,) that looks at `target` (3,), rolled by radians."""
    forward = unit(target - eye)
    right = np.cross(forward, _Z)
    right = unit(right) if np.linalg.norm(right) > 1e-3 else np.array([1.0, 0, 0])
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * down, -s * right + c * down, forward])


def intrinsics_of(field: float, width: int, height: int) -> np.ndarray:
    """K for a field of view in degrees across the larger side."""
    focal = 0.5 * max(width, height) / np.tan(np.deg2rad(field) / 2)
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])


def camera_at(
    rng: np.random.Generator,
    target: np.ndarray,
    distance: float,
    field: float,
    width: int,
    height: int,
    pitch: float | None = None,
) -> Camera:
    """A camera on the -y side of the target (3,), mostly about level.

    Args:
        distance: metres. field: of view, degrees. pitch: radians looked down; drawn by default.
    """
    pitch = rng.normal(0.08, 0.2) if pitch is None else pitch
    yaw = rng.normal(0, 0.25)
    back = np.array([np.sin(yaw) * np.cos(pitch), -np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    eye = target + distance * back
    eye[2] = max(eye[2], 0.1)
    roll = rng.normal(0, 0.06) if rng.random() < 0.9 else rng.uniform(-1.6, 1.6)
    return Camera(eye, look_at(eye, target, roll), intrinsics_of(field, width, height))


def near_camera(
    rng: np.random.Generator, person: Person, points: np.ndarray, width: int, height: int
) -> Camera:
    """A camera that looks at points (N, 3) of a person's hands, not through the person."""
    centre = points.mean(0)
    field = rng.uniform(35, 75)
    span = np.exp(rng.uniform(np.log(0.22), np.log(0.8)))
    span = max(span, 1.3 * float(np.linalg.norm(points - centre, axis=1).max()))
    distance = span / (2 * np.tan(np.deg2rad(field) / 2)) + 0.05
    target = centre + rng.normal(0, 0.13 * span, 3)
    # Mostly from the side of the picture's free half-space.
    outward = unit(centre - person.chest * [1, 1, 0] - [0, 0, centre[2]])
    direction = unit(outward + rng.normal(0, 0.55, 3) + [0, 0, 0.1])
    if rng.random() < _ANY_SIDE:  # hands edge-on, from below, over the shoulder, ...
        for _ in range(_TRIES):
            drawn = unit(rng.normal(0, 1, 3))
            if is_free(person, centre, target + distance * drawn):
                direction = drawn
                break
    eye = target + distance * direction
    eye[2] = max(eye[2], 0.05)
    roll = rng.normal(0, 0.25)
    return Camera(eye, look_at(eye, target, roll), intrinsics_of(field, width, height))


def is_free(person: Person, place: np.ndarray, eye: np.ndarray) -> bool:
    """Whether neither head nor trunk lies between a place (3,) and the eye (3,) of a camera."""
    way = eye - place
    length = float(np.linalg.norm(way))
    # A hand on the body starts inside these bounds; what counts is that the way leads out.
    along = place + np.arange(_TOUCH, max(length, 2 * _TOUCH), 0.05)[:, None] * way / length
    trunk = np.linalg.norm((along - person.chest)[:, :2], axis=1) < _TRUNK
    below = along[:, 2] < person.chest[2] + 0.15
    head = np.linalg.norm(along - person.eyes, axis=1) < _HEAD
    return not ((trunk & below) | head).any() and eye[2] > 0.05
