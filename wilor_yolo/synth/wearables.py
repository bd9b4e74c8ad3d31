"""What people wear on hand and arm: sleeves, watches, bracelets, rings. In the hand's frame."""

from __future__ import annotations

import numpy as np

from ..skeleton import MANO_JOINT_NAMES
from .hand_mesh import FOREARM, FineHand, PosedHand
from .materials import Cloth, random_cloth, random_solid
from .meshes import Mesh, box, tube
from .scene import Material
from .solid_noise import sample_noise

__all__ = ["Worn", "lengthen_arm", "sample_wearables"]

# (mesh in the hand's frame, rest vertices for the texture, material)
Worn = tuple[Mesh, np.ndarray, Material]

_STRETCH_FROM = 0.20  # metres along the flat arm: beyond it the forearm is pulled longer


def lengthen_arm(
    vertices: np.ndarray, along: np.ndarray, direction: np.ndarray, factor: float
) -> np.ndarray:
    """Pull the forearm out of the picture, so that no sawn-off elbow is seen.

    Args:
        vertices: (V, 3) posed, metres.
        along: (V,) x of the flat hand, metres.
        direction: (3,) from wrist to elbow.
        factor: additional lengths of the part beyond 0.2 m.
    """
    return vertices + (np.clip(along - _STRETCH_FROM, 0, None) * factor)[:, None] * direction


def _section(shaped: np.ndarray, x: float, half: float = 0.013) -> tuple[np.ndarray, np.ndarray]:
    """Centre (y, z) and half axes (y, z) of the arm at x on the flat hand, metres."""
    gap = np.abs(shaped[:, 0] - x)
    ring = shaped[gap < max(half, np.partition(gap, 30)[30]), 1:]  # a long arm has wide rings
    centre = 0.5 * (ring.min(0) + ring.max(0))
    return centre, 0.5 * np.ptp(ring, axis=0)


def _arm_tube(
    shaped: np.ndarray, stations: np.ndarray, slack: np.ndarray, segments: int = 20
) -> Mesh:
    """A tube around the flat arm at x = stations (P,), wider by slack (P,) metres."""
    sections = [_section(shaped, min(x, 0.33)) for x in stations]
    centre = np.array([[x, *s[0]] for x, s in zip(stations, sections, strict=True)])
    radii = np.array([s[1] for s in sections]) + slack[:, None]
    return tube(centre, radii, segments)


def _with_forearm(mesh: Mesh, posed: PosedHand, factor: float) -> Mesh:
    move = posed.moves[FOREARM]
    moved = mesh.vertices @ move[:, :3].T + move[:, 3]
    moved = lengthen_arm(moved, mesh.vertices[:, 0], posed.forearm_direction, factor)
    return Mesh(moved, mesh.faces)


def _sleeve(rng: np.random.Generator, posed: PosedHand, factor: float, cloth: Cloth) -> Worn:
    start = rng.uniform(0.108, 0.24)
    loose = rng.random() ** 2 * 0.022
    stations = start + np.array([0.0, 0.004, 0.012, *np.linspace(0.024, 0.347 - start, 9)])
    fold = np.sin(np.arange(len(stations)) * rng.uniform(0.8, 2.4)) * 0.002
    slack = 0.005 + loose * np.linspace(0.5, 1.4, len(stations)) + fold
    slack[:2] += rng.uniform(0, 0.003)  # the hem
    mesh = _arm_tube(posed.shaped, stations, slack)
    # Folds: push the surface in and out by noise, the cut of the sleeve less.
    middle = np.array([0, *_section(posed.shaped, 0.2)[0]])
    outward = (mesh.vertices - middle) * [0, 1, 1]
    outward /= np.linalg.norm(outward, axis=1, keepdims=True) + 1e-9
    depth = (0.0025 + 0.25 * loose) * sample_noise("cloud", mesh.vertices + cloth.offset, 0.006)
    depth = np.maximum(depth, -0.6 * slack.repeat(21))
    rest = mesh.vertices
    folded = Mesh(mesh.vertices + outward * depth[:, None], mesh.faces)
    # The seam's vertices are doubled: give both the same place.
    rings = folded.vertices.reshape(-1, 21, 3)
    rings[:, -1] = rings[:, 0]
    return _with_forearm(Mesh(rings.reshape(-1, 3), mesh.faces), posed, factor), rest, cloth


def _band(rng: np.random.Generator, posed: PosedHand, factor: float) -> list[Worn]:
    """A watch, a bracelet or a hair tie around the wrist."""
    kind = rng.random()
    width = rng.uniform(0.012, 0.026) if kind < 0.6 else rng.uniform(0.003, 0.012)
    start = rng.uniform(0.112, 0.135)
    thick = rng.uniform(0.002, 0.004)
    stations = start + width * np.array([-0.02, 0.0, 0.5, 1.0, 1.02])
    slack = thick * np.array([-1.0, 0.8, 1.0, 0.8, -1.0]) + 0.001
    strap = _arm_tube(posed.shaped, stations, slack, 24)
    solid = random_solid(rng)
    worn: list[Worn] = [(_with_forearm(strap, posed, factor), strap.vertices, solid)]
    if kind < 0.6:
        centre, half = _section(posed.shaped, start + width / 2)
        size = rng.uniform(0.026, 0.042)
        dial = box(np.array([size, 0.008, size * rng.uniform(0.85, 1.1)]))
        dial = dial.moved(
            np.eye(3), np.array([start + width / 2, centre[0] + half[0] + 0.003, centre[1]])
        )
        worn.append((_with_forearm(dial, posed, factor), dial.vertices, random_solid(rng)))
    return worn


def _ring(rng: np.random.Generator, hand: FineHand, posed: PosedHand) -> Worn | None:
    """A ring on the first phalanx of a random finger."""
    finger = str(rng.choice(["index", "middle", "ring", "ring", "pinky", "thumb"]))
    bone = MANO_JOINT_NAMES.index(f"{finger}{2 if finger == 'thumb' else 1}")
    rest = hand.rest_joints
    start, end = rest[bone], rest[bone + 1]
    along = (end - start) / np.linalg.norm(end - start)
    middle = start + (0.45 if finger == "thumb" else 0.58) * (end - start)
    offset = posed.shaped - middle
    near = (np.abs(offset @ along) < 0.004) & (hand.fine_weights[:, bone] > 0.5)
    across = offset[near] - np.outer(offset[near] @ along, along)
    if len(across) < 5:
        return None
    up = np.array([0.0, 1.0, 0.0]) - along[1] * along
    up /= np.linalg.norm(up)
    side = np.cross(along, up)
    height, width = across @ up, across @ side
    centre = middle + up * 0.5 * (height.min() + height.max())
    centre = centre + side * 0.5 * (width.min() + width.max())
    radii = 0.5 * np.array([np.ptp(height), np.ptp(width)])
    band, thick = rng.uniform(0.0015, 0.004), rng.uniform(0.0008, 0.0016)
    stations = band * np.array([-1.05, -1.0, 0.0, 1.0, 1.05])
    path = centre + stations[:, None] * along
    mesh = tube(path, radii + thick * np.array([-1, 0.7, 1, 0.7, -1])[:, None], 20, up)
    move = posed.moves[bone]
    solid = random_solid(rng)
    return Mesh(mesh.vertices @ move[:, :3].T + move[:, 3], mesh.faces), mesh.vertices, solid


def sample_wearables(
    rng: np.random.Generator, hand: FineHand, posed: PosedHand, arm_factor: float
) -> list[Worn]:
    """Sleeve in 55 % of the draws, watch or bracelet in 14 %, rings in 12 %."""
    worn: list[Worn] = []
    sleeve = rng.random() < 0.55
    if sleeve:
        worn.append(_sleeve(rng, posed, arm_factor, random_cloth(rng)))
    if rng.random() < 0.14:
        worn += _band(rng, posed, arm_factor)
    if rng.random() < 0.12:
        rings = [_ring(rng, hand, posed) for _ in range(int(rng.integers(1, 3)))]
        worn += [r for r in rings if r is not None]
    return worn
