"""Things in a hand: an object is fitted into the hollow of a given pose; nothing to be solved.

Frame of the posed hand before it is turned as a whole: fingers -x, back +y, thumb +z.
"""

from __future__ import annotations

import numpy as np

from .contact import travel_until_touch
from .hand_mesh import FineHand, PosedHand
from .meshes import Mesh, box, lathe
from .poses import NAMED_ANGLES, is_self_colliding, pose_from_angles
from .rotations import rotation_matrices

__all__ = ["basis", "hold_something", "sample_grasp_pose", "turned_profile", "unit"]

_POSES = {
    "grasp_cylinder": 0.26, "grasp_ball": 0.16, "loose_fist": 0.08, "tripod": 0.12, "pinch": 0.10,
    "key_pinch": 0.08, "pinch_middle": 0.05, "hook": 0.05, "relaxed": 0.06, "claw": 0.04,
}  # fmt: skip
_FINGERS_NOISE = np.array([6.0, 8.0, 5.0, 2.5] * 4 + [5.0, 5.0, 4.0, 6.0, 8.0])


def sample_grasp_pose(rng: np.random.Generator) -> np.ndarray:
    """(16, 3) axis-angle of a hand that may hold something."""
    names, weights = list(_POSES), np.array(list(_POSES.values()))
    for _ in range(20):
        name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        angles = NAMED_ANGLES[name] + rng.normal(0, 1, 21) * _FINGERS_NOISE
        # All fingers together somewhat more open or closed: thicker and thinner things.
        angles[:16] *= rng.uniform(0.7, 1.12)
        pose = pose_from_angles(angles)
        if not is_self_colliding(pose):
            break
    return pose


def hold_something(rng: np.random.Generator, hand: FineHand, posed: PosedHand) -> Mesh | None:
    """An object that this hand could be holding, in the hand's frame; None if none fits."""
    ways = (_rod_in_fist, _rod_in_fist, _ball, _pen, _slab_in_pinch, _on_palm)
    for _ in range(3):
        mesh = ways[int(rng.integers(len(ways)))](rng, hand, posed)
        if mesh is not None:
            return mesh
    return None


def unit(vector: np.ndarray) -> np.ndarray:
    """The vector (3,) at length 1."""
    return vector / (np.linalg.norm(vector) + 1e-12)


def basis(z: np.ndarray, x_hint: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) whose columns are x (near the hint), y, z (given)."""
    z = unit(z)
    x = unit(x_hint - (x_hint @ z) * z)
    return np.stack([x, np.cross(z, x), z], 1)


def _hollow(joints: np.ndarray) -> np.ndarray:
    """A point between palm, fingers and thumb."""
    palm = 0.4 * joints[0] + 0.3 * joints[5] + 0.3 * joints[17]
    fingers = joints[[10, 11, 12, 14, 15, 16]].mean(0)
    return 0.42 * palm + 0.43 * fingers + 0.15 * joints[4]


def _rod_in_fist(rng: np.random.Generator, hand: FineHand, posed: PosedHand) -> Mesh | None:
    """Bottles, handles, cups, boxes: an axis across the palm, as thick as the hollow allows."""
    axis = unit(posed.joints[5] - posed.joints[17]) + rng.normal(0, 0.14, 3)
    turn = basis(axis, np.array([1.0, 0, 0]))
    local = (posed.model_vertices - _hollow(posed.joints)) @ turn
    reach = np.ptp(((posed.joints[[5, 9, 13, 17]]) @ turn)[:, 2]) / 2 + 0.03
    section = local[np.abs(local[:, 2]) < reach][:, :2]
    centres = rng.normal(0, 0.010, (24, 2))
    radii = np.linalg.norm(section[None] - centres[:, None], axis=2).min(1)
    best = int(np.argmax(radii))
    radius = float(radii[best])
    if not 0.005 < radius < 0.048:
        return None
    radius *= 1.04  # flesh gives way a little
    place = _hollow(posed.joints) + turn @ np.array([*centres[best], rng.normal(0, 0.015)])
    length = rng.uniform(0.06, 0.24)
    shift = np.array([0, 0, rng.uniform(-0.3, 0.3) * length])
    kind = rng.random()
    if kind < 0.25:
        angle = rng.uniform(0.4, 1.17)
        size = 2 * radius * np.array([np.cos(angle), np.sin(angle), length / 2 / radius])
        mesh = box(size).moved(rotation_matrices(np.array([0, 0, rng.uniform(0, 3.1)])), shift)
    else:
        mesh = lathe(turned_profile(rng, radius, length)).moved(np.eye(3), shift)
    return mesh.moved(turn, place)


def turned_profile(rng: np.random.Generator, radius: float, length: float) -> np.ndarray:
    """Radius and height of a turned body whose middle has the given radius."""
    h = length / 2
    kind = rng.random()
    if kind < 0.45:  # can, stick, handle
        rows = [(0, -h), (radius, -h), (radius, -h), (radius, 0), (radius, h), (radius, h), (0, h)]
    elif kind < 0.75:  # bottle
        neck = radius * rng.uniform(0.3, 0.6)
        up = h + rng.uniform(0.02, 0.06)
        rows = [(0, -h), (radius, -h), (radius, -h), (radius, 0.5 * h), (0.9 * radius, 0.8 * h),
                (neck, h), (neck, up), (neck, up), (0, up)]  # fmt: skip
    elif kind < 0.9:  # cup: wide brim, open
        brim = radius * rng.uniform(1.0, 1.35)
        rows = [(0, -h), (0.85 * radius, -h), (0.85 * radius, -h), (radius, 0), (brim, h),
                (brim, h), (0.92 * brim, h), (0.92 * brim, h), (0.8 * radius, -0.8 * h),
                (0, -0.8 * h)]  # fmt: skip
    else:  # bulb: fruit, torch, tool handle
        t = np.linspace(0, np.pi, 9)
        return np.stack([radius * np.sin(t) ** 0.7, -np.cos(t) * max(h * 0.6, radius)], 1)
    return np.array(rows, dtype=float)


def _ball(rng: np.random.Generator, hand: FineHand, posed: PosedHand) -> Mesh | None:
    centres = _hollow(posed.joints) + rng.normal(0, 0.012, (24, 3))
    gaps = np.linalg.norm(posed.model_vertices[None] - centres[:, None], axis=2).min(1)
    best = int(np.argmax(gaps))
    radius = float(gaps[best]) * 1.03
    if not 0.008 < radius < 0.055:
        return None
    turn = rotation_matrices(rng.normal(0, 1.5, 3))
    if rng.random() < 0.35:
        angle = rng.uniform(0.5, 1.0, 3)
        size = 2 * radius * angle / np.linalg.norm(angle)
        return box(size).moved(turn, centres[best])
    t = np.linspace(0, np.pi, 11)
    profile = np.stack([radius * np.sin(t), -radius * np.cos(t) * rng.uniform(0.8, 1.0)], 1)
    return lathe(profile).moved(turn, centres[best])


def _pen(rng: np.random.Generator, hand: FineHand, posed: PosedHand) -> Mesh | None:
    """A thin thing from between thumb and finger ends towards the web of the thumb."""
    j = posed.joints
    ends = 0.5 * (j[8] + j[12]) if rng.random() < 0.5 else j[8]
    point = 0.5 * (j[4] + ends)
    if np.linalg.norm(j[4] - ends) > 0.05:
        return None
    radius = rng.uniform(0.0028, 0.0065)
    length = rng.uniform(0.10, 0.19)
    best, tip, along = -1.0, point, np.zeros(3)
    for _ in range(16):
        target = 0.5 * j[5] + 0.2 * j[2] + 0.3 * j[6] + rng.normal(0, 0.012, 3)
        start = point + rng.normal(0, 0.003, 3)
        way = unit(target - start)
        offset = posed.model_vertices - start
        free = np.linalg.norm(offset - np.outer(offset @ way, way), axis=1).min()
        if free > best:
            best, tip, along = free, start, way
    if best < 0.001:
        return None
    start = -rng.uniform(0.02, 0.05)
    sharp = 0.15 * radius
    rows = [(0, start), (sharp, start), (radius, start + 0.012), (radius, start + length),
            (radius, start + length), (0, start + length)]  # fmt: skip
    return lathe(np.array(rows), 14).moved(basis(along, np.array([0.3, 1, 0.2])), tip)


def _slab_in_pinch(rng: np.random.Generator, hand: FineHand, posed: PosedHand) -> Mesh | None:
    """Cards, phones, books, paper between thumb and fingers."""
    j = posed.joints
    ends = 0.5 * (j[8] + j[12])
    normal, gap = unit(j[4] - ends), np.linalg.norm(j[4] - ends)
    if gap > 0.06:
        return None
    thick = float(np.clip(gap - 0.020, 0.0008, 0.035))
    middle = 0.5 * (j[4] + ends)
    away = middle - 0.5 * (j[0] + j[9])
    turn = basis(normal, away)
    turn = turn @ rotation_matrices(np.array([0, 0, rng.normal(0, 0.5)]))
    size = np.array([rng.uniform(0.05, 0.20), rng.uniform(0.04, 0.16), thick])
    inside = rng.uniform(0.008, 0.025)
    slide = np.array([0.5 * size[0] - inside, rng.normal(0, 0.012), 0])
    return box(size).moved(turn, middle + turn @ slide)


def _on_palm(rng: np.random.Generator, hand: FineHand, posed: PosedHand) -> Mesh | None:
    """Something lying on the open palm or against the fingers, moved in until it touches."""
    j = posed.joints
    palm = unit(np.cross(j[17] - j[0], j[5] - j[0]))  # from the back of the hand outwards
    if palm @ (posed.moves[0, :, :3] @ np.array([0, 1.0, 0])) > 0:
        palm = -palm
    along = unit(j[9] - j[0])
    turn = basis(palm, along) @ rotation_matrices(rng.normal(0, 0.12, 3))
    if rng.random() < 0.6:
        mesh = box(rng.uniform((0.04, 0.03, 0.006), (0.16, 0.09, 0.05)))
    else:
        mesh = lathe(turned_profile(rng, rng.uniform(0.012, 0.04), rng.uniform(0.02, 0.12)))
    start = 0.5 * (j[0] + j[9]) + along * rng.uniform(0.0, 0.06) + 0.25 * palm
    mesh = mesh.moved(turn, start)
    way = travel_until_touch(
        (mesh.vertices, mesh.faces), (posed.model_vertices, hand.model_faces), -palm
    )
    return None if way is None else mesh.moved(np.eye(3), -palm * (way - 0.0005))
