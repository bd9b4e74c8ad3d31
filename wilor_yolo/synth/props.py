"""Around a hand: things in front of it, a table or wall it touches, a head behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .grasps import basis, turned_profile, unit
from .light import linear_from_srgb
from .materials import Painted, all_light, random_cloth, random_solid
from .meshes import box, lathe, sheet
from .rotations import rotation_matrices
from .scene import Part, Points
from .shading import Surface
from .skin import skin_albedo
from .solid_noise import sample_noise

__all__ = ["bystander", "obstacle", "support"]


def obstacle(rng: np.random.Generator, target: np.ndarray) -> Part:
    """A thing between the eye and the point `target` (3,), camera frame, metres."""
    depth = target[2] * rng.uniform(0.55, 0.9)
    centre = target * (depth / target[2])
    scale = depth / target[2]  # the nearer, the larger it looks
    size = np.array([rng.uniform(0.008, 0.05), rng.uniform(0.02, 0.12), rng.uniform(0.05, 0.35)])
    if rng.random() < 0.5:
        mesh = lathe(turned_profile(rng, size[0] * scale, size[2] * scale))
    else:
        mesh = box(size * scale)
    centre = centre + rng.normal(0, 0.012, 3) * [1, 1, 0]
    placed = mesh.moved(rotation_matrices(rng.normal(0, 1.5, 3)), centre)
    return Part(placed.vertices, placed.faces, mesh.vertices, random_solid(rng))


def support(rng: np.random.Generator, vertices: np.ndarray, behind: np.ndarray) -> Part | None:
    """A table, wall or book that the hand touches from the side turned to the eye.

    Args:
        vertices: (V, 3) of everything that must lie on this side of it, camera frame, metres.
        behind: (3,) a direction to begin with, from the eye; the surface's normal is near -behind.

    Returns:
        The part, or None when it would come too near to the eye.
    """
    normal = unit(-behind + rng.normal(0, 0.45, 3))
    lowest = float((vertices @ normal).min())
    gap = 0.0 if rng.random() < 0.65 else rng.uniform(0.005, 0.12)
    height = lowest - gap
    if height > -0.08:  # the eye, at 0, must lie above the surface
        return None
    middle = vertices.mean(0)
    middle = middle + (height - middle @ normal) * normal
    extent = rng.choice([rng.uniform(0.15, 0.4), rng.uniform(0.6, 1.5)])
    turn = basis(normal, rng.normal(0, 1, 3))
    flat = sheet(extent, extent, 22)
    spot = turn @ np.array([*rng.uniform(-0.3, 0.3, 2) * extent, 0])
    placed = flat.moved(turn, middle + spot)
    # Texture size is that of the real thing, not of the sheet: 0.3 to 1 m across.
    painted = Painted.random(rng, float(rng.uniform(0.3, 1.0)))
    return Part(placed.vertices, placed.faces, flat.vertices, painted)


@dataclass(frozen=True)
class _Face:
    """Skin, hair and painted features on a head whose front is +y and top +z; unit sphere."""

    skin: np.ndarray
    hair: np.ndarray
    hairline: float
    eyes: float
    offset: np.ndarray

    @property
    def bounce(self) -> np.ndarray:
        return self.skin

    def spread_light(self, light: np.ndarray, known: np.ndarray) -> np.ndarray:
        return all_light(light, known)

    def surface(self, points: Points) -> Surface:
        at = points.rest
        x, y, z = at.T
        noise = sample_noise("cloud", at * 0.05 + self.offset, 0.006)
        albedo = self.skin * (1 + 0.04 * noise[:, None])
        cheek = np.exp(-(((np.abs(x) - 0.45) / 0.25) ** 2 + ((z + 0.15) / 0.25) ** 2)) * (y > 0)
        albedo *= 1 - cheek[:, None] * [0.0, 0.12, 0.10]
        front = y > 0.2

        def blot(cx: float, cz: float, rx: float, rz: float) -> np.ndarray:
            inside = ((np.abs(x) - cx) / rx) ** 2 + ((z - cz) / rz) ** 2
            return (np.clip(2.5 - 2.5 * inside, 0, 1) * front)[:, None]

        albedo = _mix(albedo, np.array([0.7, 0.7, 0.7]), blot(0.34, 0.12, 0.17, 0.07))
        albedo = _mix(albedo, np.full(3, 0.03), blot(0.34 + self.eyes, 0.12, 0.06, 0.07))
        albedo = _mix(albedo, self.hair, blot(0.36, 0.29, 0.22, 0.045))
        lips = self.skin * [0.9, 0.5, 0.5]
        albedo = _mix(albedo, lips, blot(0.0, -0.48, 0.27, 0.075))
        nostrils = blot(0.09, -0.2, 0.06, 0.03)
        albedo = _mix(albedo, self.skin * 0.3, nostrils)
        edge = z - self.hairline - 0.75 * np.clip(y, -1, 1) + 0.04 * noise
        albedo = _mix(
            albedo, self.hair * (1 + 0.3 * noise[:, None]), np.clip(edge * 12, 0, 1)[:, None]
        )
        out = Surface.matt(np.clip(albedo, 0.004, 0.9), 0.5, 0.025)
        out.wrap[:] = (0.25, 0.12, 0.07)
        return out


def _mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    return a + (b - a) * share


def bystander(
    rng: np.random.Generator, hand_centre: np.ndarray, reach: float, tone: float
) -> list[Part]:
    """A head with a trunk behind the hand: skin that is not hand, as in most real pictures.

    Args:
        hand_centre: (3,) camera frame, metres.
        reach: metres across the crop at the hand.
        tone: skin tone 0..9.
    """
    depth = hand_centre[2] + rng.uniform(0.16, 0.7)
    ray = hand_centre / hand_centre[2]
    centre = ray * depth + np.array([*rng.normal(0, 0.45 * reach, 2), 0])
    t = np.linspace(0, np.pi, 22)
    head = lathe(np.stack([np.sin(t), -np.cos(t)], 1), 30)
    ball = head.vertices
    x, y, z = ball.T
    nose = np.exp(-((x / 0.13) ** 2) - ((z + 0.08) / 0.2) ** 2) * (y > 0) * 0.2
    chin = 1 - 0.28 * np.clip(-z - 0.1, 0, 1)
    shape = ball * np.stack([chin, np.ones_like(chin), np.ones_like(chin)], 1)
    shape[:, 1] += nose - 0.08 * np.exp(
        -(((np.abs(x) - 0.34) / 0.2) ** 2) - ((z - 0.12) / 0.12) ** 2
    )
    size = np.array([0.078, 0.098, 0.118]) * rng.uniform(0.9, 1.1)
    # Head frame to camera: its front looks at us (-z), its top is up (-y).
    upright = np.array([[-1.0, 0, 0], [0, 0, -1.0], [0, -1.0, 0]])
    turn = upright @ rotation_matrices(np.array([0, 0, np.deg2rad(rng.normal(0, 40))]))
    turn = rotation_matrices(np.deg2rad(rng.normal(0, 12, 3))) @ turn
    hair = linear_from_srgb(
        np.array([0.55, 0.42, 0.28]) * rng.uniform(0.1, 1.3) * np.exp(rng.normal(0, 0.1, 3))
    ).clip(0.005, 0.7)
    face = _Face(
        skin=skin_albedo(tone).astype(np.float32),
        hair=hair,
        hairline=float(rng.choice([0.25, 0.05, 2.5], p=[0.5, 0.42, 0.08])),
        eyes=float(rng.normal(0, 0.04)),
        offset=rng.uniform(0, 1, 3),
    )
    parts = [Part((shape * size) @ turn.T + centre, head.faces, ball, face)]
    # Neck and trunk below, one turned body each.
    neck = lathe(np.array([(0.055, -0.20), (0.05, -0.05)]), 20)
    down = np.array([[-1.0, 0, 0], [0, 0, -1.0], [0, -1.0, 0]])
    bare = _Face(face.skin, face.skin, 9.0, 0.0, face.offset)
    far = neck.vertices * [1, 1, 1] + [0, 0, -50.0]  # no features down there
    parts.append(Part(neck.vertices @ down.T + centre, neck.faces, far, bare))
    trunk = lathe(
        np.array([(0.0, -0.14), (0.10, -0.155), (0.2, -0.2), (0.23, -0.4), (0.2, -0.9)][::-1]), 26
    )
    body = trunk.vertices * [1.0, 0.6, 1.0]
    parts.append(Part(body @ down.T + centre, trunk.faces, body, random_cloth(rng)))
    return parts
