"""How the hand is turned to the camera, where it stands, and which part of the picture is cropped.

Everything is a right hand in the camera frame: x right, y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..geometry import project
from .rotations import rotation_matrices

__all__ = ["View", "place_hand", "sample_orientation"]

UNIFORM_SHARE = 0.40  # of all orientations; the rest are everyday views

# Flat hand (fingers -x, back +y, thumb +z) upright before the camera, palm towards it.
_UPRIGHT_PALM = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def sample_orientation(rng: np.random.Generator) -> np.ndarray:
    """A rotation (3, 3) from the hand's frame to the camera's.

    Uniform over all rotations in `UNIFORM_SHARE` of the draws; else everyday views: raised palm or
    back, from the side, one's own hands, pointing at the camera, arm from the side or hanging.
    """
    if rng.random() < UNIFORM_SHARE:
        return _uniform(rng)
    view = rng.random()
    turn = rng.uniform(-180, 180)  # about the forearm: which side of the hand is seen
    if view < 0.36:  # raised: palm, back, or somewhere between
        turn = rng.choice([0, 180, turn], p=[0.4, 0.3, 0.3]) + rng.normal(0, 18)
        roll, pitch = rng.normal(0, 28), rng.normal(0, 20)
    elif view < 0.60:  # one's own hand: fingers forward and up, back mostly up
        turn = 180 + rng.choice([0, turn], p=[0.65, 0.35]) + rng.normal(0, 30)
        roll, pitch = rng.normal(10, 35), rng.uniform(20, 85)
    elif view < 0.72:  # fingers towards the camera
        roll, pitch = rng.uniform(-180, 180), -rng.uniform(45, 100)
    elif view < 0.90:  # forearm from the left or right
        roll, pitch = rng.choice([-90, 90]) + rng.normal(0, 25), rng.normal(0, 25)
    else:  # hanging
        roll, pitch = 180 + rng.normal(0, 30), rng.normal(0, 25)
    about_forearm = _about("y", turn)
    return _about("z", roll) @ _about("x", -pitch) @ about_forearm @ _UPRIGHT_PALM


def _about(axis: str, degrees: float) -> np.ndarray:
    vector = np.zeros(3)
    vector["xyz".index(axis)] = np.deg2rad(degrees)
    return rotation_matrices(vector)


def _uniform(rng: np.random.Generator) -> np.ndarray:
    q = rng.standard_normal(4)
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@dataclass(frozen=True)
class View:
    """The crop's camera and the hand's place in front of it.

    Attributes:
        K: (3, 3) px of the crop; the principal point may lie outside of it.
        translation: (3,) metres; camera point = rotated hand point + translation.
        box: (4,) xyxy px of the hand's mesh inside the photograph.
        photo: (4,) xyxy px, where the photograph lies in the crop; beyond it the crop is black.
    """

    K: np.ndarray
    translation: np.ndarray
    box: np.ndarray
    photo: np.ndarray


def place_hand(rng: np.random.Generator, turned: np.ndarray, size: int) -> View:
    """Draw a camera and a distance so that the hand fills 45 to 75 % of the crop.

    Args:
        turned: (V, 3) hand model's vertices, turned, metres, any origin.
        size: side of the square crop, px.
    """
    centre = 0.5 * (turned.min(0) + turned.max(0))
    field = np.deg2rad(np.exp(rng.uniform(np.log(11), np.log(65))))
    focal = size / 2 / np.tan(field / 2)
    share = rng.uniform(0.45, 0.75)
    # The crop's centre lies up to 33 degrees off the photograph's axis.
    off_axis = np.clip(rng.normal(0, np.deg2rad(13), 2), -0.58, 0.58)
    principal = (size - 1) / 2 - focal * np.tan(off_axis)
    aim = (size - 1) / 2 + rng.normal(0, 0.035, 2).clip(-0.09, 0.09) * size
    intrinsics = np.array([[focal, 0, principal[0]], [0, focal, principal[1]], [0, 0, 1.0]])

    extent = np.ptp(turned, axis=0)
    depth = max(focal * extent[:2].max() / (share * size), 0.5 * extent[2] + 0.12)
    target = aim.copy()
    for _ in range(5):
        ray = (target - principal) / focal
        translation = depth * np.array([*ray, 1.0]) - centre
        box = _box(turned + translation, intrinsics)
        target += aim - 0.5 * (box[:2] + box[2:])
        depth *= (box[2:] - box[:2]).max() / (share * size)
        depth = max(depth, 0.5 * extent[2] + 0.10)
    ray = (target - principal) / focal
    translation = depth * np.array([*ray, 1.0]) - centre

    whole = _box(turned + translation, intrinsics)
    photo = _photo_border(rng, whole, size)
    box = np.concatenate([np.maximum(whole[:2], photo[:2]), np.minimum(whole[2:], photo[2:])])
    # A cut hand has a smaller box; the crop is made around that one.
    zoom = share * size / (box[2:] - box[:2]).max()
    shift = aim - zoom * 0.5 * (box[:2] + box[2:])
    change = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]], [0, 0, 1]])
    move = np.concatenate([shift, shift])
    return View(change @ intrinsics, translation, zoom * box + move, zoom * photo + move)


def _box(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    pixels = project(points, intrinsics)
    return np.concatenate([pixels.min(0), pixels.max(0)])


def _photo_border(rng: np.random.Generator, box: np.ndarray, size: int) -> np.ndarray:
    """Where the photograph ends: mostly beyond the crop, sometimes beside or through the hand."""
    far = 8.0 * size
    photo = np.array([-far, -far, size + far, size + far])
    kind = rng.random()
    if kind > 0.20:
        return photo
    sides = [int(rng.integers(4))]
    if rng.random() < 0.25:
        sides.append((sides[0] + 1) % 4)
    for side in sides:
        length = box[2 + side % 2] - box[side % 2]
        # Positive: through the hand. Negative: in the free space around it.
        depth = rng.uniform(0.04, 0.38) if kind < 0.10 else -rng.uniform(0.0, 0.4)
        photo[side] = box[side] + depth * length * (1 if side < 2 else -1)
    return photo
