"""Things in hands, and things that stand about: simple geometry, right sizes."""

from __future__ import annotations

import numpy as np

from .body_pose import unit
from .meshes import Mesh, box, lathe
from .pieces import Material, Piece, piece_from_mesh, rgb
from .texture import random_colour

__all__ = ["carried_box", "clutter", "held_object", "skin_coloured_thing", "wrist_band"]

_FLESH = 0.009  # half the thickness of a finger, metres


def held_object(
    kind: str, keypoints: np.ndarray, palm: np.ndarray, rng: np.random.Generator
) -> list[Piece]:
    """An object in a posed hand.

    Args:
        kind: can, cup, bottle, glass, hammer, screwdriver, knife, stick, brush, phone, card,
            book, paper, pen, ball, plate or bag.
        keypoints: (21, 3) of the hand, any frame.
        palm: (3,) where the palm looks, same frame.

    Returns:
        Pieces in the frame of the keypoints.
    """
    scale = float(np.linalg.norm(keypoints[9] - keypoints[0])) / 0.092
    across = unit(keypoints[5] - keypoints[17])  # little finger to index: up in a grip
    fingers = unit(keypoints[9] - keypoints[0])
    palm = unit(palm)
    if kind in (
        "can",
        "cup",
        "bottle",
        "glass",
        "hammer",
        "screwdriver",
        "knife",
        "stick",
        "brush",
    ):
        centre, radius = _grip(keypoints, across)
        largest = 0.04 if kind in ("can", "cup", "bottle", "glass") else 0.018
        radius = float(np.clip(radius - _FLESH * scale, 0.006, largest))
        if rng.random() < 0.25 and largest < 0.02:
            across = -across
        meshes = _round(kind, radius, rng) if largest > 0.02 else _stick(kind, radius, rng)
        turn = _basis(across, palm)
        return [_paint(m.moved(turn, centre), rng) for m in meshes]
    if kind == "pen":
        tip = 0.5 * (keypoints[4] + keypoints[8])
        web = 0.5 * (keypoints[2] + keypoints[5]) + 0.02 * across
        along = unit(web - tip)
        pen = lathe(np.array([[0, -0.045], [0.004, -0.03], [0.004, 0.1], [0, 0.1]]), 12)
        return [_paint(pen.moved(_basis(along, palm), tip), rng)]
    if kind == "phone":
        place = keypoints[0] + 0.105 * scale * fingers + 0.020 * scale * palm
        turn = np.stack([across, fingers, np.cross(across, fingers)], 1)
        size = np.array([0.074, 0.152, 0.009]) * rng.uniform(0.92, 1.08)
        body = _paint(box(size).moved(turn, place + 0.01 * fingers), rng, dark=0.6)
        toward = unit(turn[:, 2]) * np.sign(turn[:, 2] @ palm)
        screen = box(size * [0.93, 0.95, 0.1]).moved(turn, place + 0.01 * fingers + 0.0048 * toward)
        shown = random_colour(rng) * float(rng.choice([0.02, 0.6, 1.6]))
        return [
            body,
            piece_from_mesh(screen, shown, Material(gloss=0.9, noise=0.2, noise_size=0.01)),
        ]
    if kind in ("card", "book", "paper"):
        low, high = {"card": (0.054, 0.086), "book": (0.13, 0.2), "paper": (0.21, 0.297)}[kind]
        thick = {"card": 0.001, "book": 0.02, "paper": 0.001}[kind]
        pinch = 0.4 * keypoints[4] + 0.3 * keypoints[8] + 0.3 * keypoints[7]
        away = unit(0.5 * fingers + 0.8 * across + rng.normal(0, 0.25, 3))
        normal = unit(palm + rng.normal(0, 0.3, 3))
        side = unit(np.cross(away, normal))
        turn = np.stack([side, away, np.cross(side, away)], 1)
        place = pinch + (0.5 * high - 0.02) * away + rng.uniform(-0.3, 0.3) * low * side
        material = Material("blobs", (0.1, 0.1, 0.1), 0.02, noise=0.02)
        colour = random_colour(rng) if kind == "book" else np.full(3, rng.uniform(0.5, 0.85))
        sheet = box(np.array([low, high, thick])).moved(turn, place)
        return [piece_from_mesh(sheet, colour, material)]
    if kind == "ball":
        radius = float(rng.uniform(0.025, 0.04))
        place = keypoints[0] + 0.1 * scale * fingers + (radius + 0.012) * palm
        return [_paint(_sphere(radius).moved(np.eye(3), place), rng)]
    if kind == "plate":
        dish = lathe(
            np.array(
                [[0, 0], [0.07, 0.0], [0.12, 0.02], [0.118, 0.024], [0.065, 0.006], [0, 0.006]]
            )
        )
        place = keypoints[0] + 0.1 * scale * fingers + 0.02 * palm
        return [_paint(dish.moved(_basis(palm, fingers), place), rng)]
    if kind == "bag":
        size = np.array([rng.uniform(0.2, 0.4), rng.uniform(0.08, 0.16), rng.uniform(0.2, 0.4)])
        centre, _ = _grip(keypoints, across)
        down = np.array([0, 0, -1.0])
        turn = np.stack([across, np.cross(down, across), -down], 1)
        turn = np.linalg.qr(turn)[0] * np.sign(np.linalg.det(np.linalg.qr(turn)[0]))
        handle = lathe(np.array([[0.008, -0.06], [0.008, 0.06]]), 10).moved(
            _basis(across, palm), centre
        )
        sack = box(size).moved(turn, centre + down * (0.5 * size[2] + 0.1))
        colour = random_colour(rng)
        return [piece_from_mesh(sack, colour), piece_from_mesh(handle, colour)]
    raise ValueError(f"no such object: {kind}")


def _grip(keypoints: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, float]:
    """Circle that the bent middle and index finger lie around: centre (3,), radius to the bones.

    Least squares circle through the knuckles of both fingers, in the plane across `axis`.
    """
    points = keypoints[[5, 6, 7, 8, 9, 10, 11, 12, 14, 15]]
    middle = points.mean(0)
    u = unit(np.cross(axis, keypoints[9] - keypoints[0]))
    v = np.cross(axis, u)
    flat = np.stack([(points - middle) @ u, (points - middle) @ v], 1)
    system = np.concatenate([2 * flat, np.ones((len(flat), 1))], 1)
    (x, y, rest), *_ = np.linalg.lstsq(system, (flat**2).sum(1), rcond=None)
    radius = float(np.sqrt(max(rest + x * x + y * y, 1e-6)))
    if radius > 0.06:  # fingers nearly straight: the circle is far away
        away = np.array([x, y])
        x, y = away / (np.linalg.norm(away) + 1e-9) * 0.035
        radius = 0.035
    return middle + x * u + y * v, radius


def _basis(axis: np.ndarray, hint: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that takes z to `axis` and x near `hint`."""
    z = unit(axis)
    x = unit(hint - (hint @ z) * z)
    return np.stack([x, np.cross(z, x), z], 1)


def _paint(mesh: Mesh, rng: np.random.Generator, dark: float = 0.0) -> Piece:
    colour = random_colour(rng)
    if rng.random() < max(dark, 0.15):
        colour = np.full(3, rng.uniform(0.005, 0.05))
    pattern = "plain" if rng.random() < 0.7 else ("stripes", "blobs")[int(rng.integers(2))]
    material = Material(
        pattern,
        rgb(random_colour(rng)),
        float(rng.uniform(0.01, 0.06)),
        noise=0.03,
        gloss=float(rng.random()),
    )
    return piece_from_mesh(mesh, colour, material)


def _sphere(radius: float) -> Mesh:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 14)
    return lathe(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), 22)


def _round(kind: str, r: float, rng: np.random.Generator) -> list[Mesh]:
    """Drinking vessels around z, gripped at the origin."""
    down = rng.uniform(0.04, 0.07)
    up = rng.uniform(0.05, 0.09)
    if kind == "bottle":
        up = rng.uniform(0.12, 0.18)
        neck = 0.4 * r
        profile = [[0, -down], [r, -down], [r, -down], [r, 0.5 * up], [neck, 0.75 * up],
                   [neck, up], [neck, up], [0, up]]  # fmt: skip
        return [lathe(np.array(profile))]
    wide = r * (rng.uniform(1.0, 1.35) if kind in ("cup", "glass") else 1.0)
    inner = 0.92 * wide
    profile = [[0, -down], [r, -down], [r, -down], [wide, up], [inner, up], [inner, up],
               [0.9 * inner, 0.7 * up], [0, 0.7 * up]]  # fmt: skip
    return [lathe(np.array(profile))]


def _stick(kind: str, r: float, rng: np.random.Generator) -> list[Mesh]:
    """Tools around z, gripped at the origin, their business end up."""
    handle = lathe(np.array([[0, -0.07], [r, -0.07], [r, -0.07], [r, 0.06], [r, 0.06], [0, 0.06]]))
    if kind == "hammer":
        shaft = lathe(np.array([[0.8 * r, 0.06], [0.7 * r, 0.22]]))
        head = box(np.array([0.11, 0.03, 0.03])).moved(np.eye(3), np.array([0.01, 0, 0.22]))
        return [handle, shaft, head]
    if kind == "screwdriver":
        return [handle, lathe(np.array([[0.004, 0.06], [0.004, 0.18], [0, 0.18]]), 10)]
    if kind == "knife":
        blade = box(np.array([0.028, 0.002, 0.16])).moved(np.eye(3), np.array([0, 0, 0.14]))
        return [handle, blade]
    if kind == "brush":
        head = box(np.array([0.05, 0.02, 0.06])).moved(np.eye(3), np.array([0, 0, 0.2]))
        return [handle, lathe(np.array([[0.006, 0.06], [0.006, 0.18]]), 10), head]
    length = rng.uniform(0.2, 0.7)
    return [lathe(np.array([[0, -0.2], [r, -0.2], [r, -0.2], [0.8 * r, length], [0, length]]))]


def wrist_band(
    wrist: np.ndarray, elbow: np.ndarray, palm: np.ndarray, rng: np.random.Generator
) -> list[Piece]:
    """A watch or a bracelet on a bare forearm; points (3,) and the palm's direction, one frame."""
    along = unit(elbow - wrist)
    scale = float(np.linalg.norm(elbow - wrist)) / 0.244
    width = rng.uniform(0.006, 0.026)
    ring = np.array([[1.0, -width], [1.08, -width], [1.08, width], [1.0, width], [1.0, -width]])
    band = lathe(np.repeat(ring, 2, axis=0)[1:-1], 24)
    flat = Mesh(band.vertices * [0.024, 0.031, 0.5], band.faces)
    turn = _basis(along, palm) * scale
    place = wrist + rng.uniform(0.015, 0.035) * scale * along
    pieces = [_paint(flat.moved(turn, place), rng, dark=0.5)]
    if width > 0.014:  # the face of a watch, on the back of the wrist
        dial = box(np.array([0.009, 0.034, 0.034])).moved(np.eye(3), np.array([-0.026, 0, 0]))
        pieces.append(_paint(dial.moved(turn, place), rng, dark=0.5))
    return pieces


def carried_box(palms: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> list[Piece]:
    """A box between two palms (3,) each, upright in the body frame."""
    a, b = palms
    line = b - a
    width = float(np.linalg.norm(line)) - 0.03
    if width < 0.08:
        return []
    x = unit(line)
    z = unit(np.array([0, 0, 1.0]) - x[2] * x)
    turn = np.stack([x, np.cross(z, x), z], 1)
    size = np.array([width, rng.uniform(0.12, 0.3), rng.uniform(0.08, 0.32)])
    return [_paint(box(size, 5).moved(turn, 0.5 * (a + b)), rng)]


def clutter(rng: np.random.Generator, size: float) -> list[Piece]:
    """One or two things of about `size` metres, standing on z = 0 at the origin."""
    kind = rng.random()
    turn = _basis(np.array([0, 0, 1.0]), rng.normal(0, 1, 3) * [1, 1, 0])
    if kind < 0.5:
        dimensions = size * rng.uniform(0.25, 1.0, 3)
        meshes = [box(dimensions, 5).moved(turn, np.array([0, 0, 0.5 * dimensions[2]]))]
    elif kind < 0.75:
        r, h = size * rng.uniform(0.12, 0.4), size * rng.uniform(0.3, 1.0)
        steps = rng.uniform(0.5, 1.2, 3)
        profile = [[0, 0], [r, 0], [r, 0], [r * steps[0], 0.4 * h], [r * steps[1], 0.8 * h],
                   [r * steps[2], h], [r * steps[2], h], [0, h]]  # fmt: skip
        meshes = [lathe(np.array(profile))]
    elif kind < 0.85:
        meshes = [_sphere(0.5 * size).moved(np.eye(3), np.array([0, 0, 0.5 * size]))]
    else:  # an open laptop, or a screen
        base = box(np.array([0.33, 0.23, 0.018]) * size / 0.33).moved(turn, np.array([0, 0, 0.01]))
        tilt = np.deg2rad(rng.uniform(5, 30))
        back = np.array(
            [[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]]
        )
        lid = box(np.array([0.33, 0.008, 0.22]) * size / 0.33)
        lid = lid.moved(back, np.array([0, 0.12, 0.11]) * size / 0.33).moved(turn, np.zeros(3))
        meshes = [base, lid]
    return [_paint(mesh, rng) for mesh in meshes]


def skin_coloured_thing(rng: np.random.Generator, tone: np.ndarray) -> list[Piece]:
    """Something without fingers in the colour of skin: balls, sausages, cushions, vases."""
    material = Material(noise=0.06, noise_size=0.01, gloss=0.2)
    kind = rng.random()
    if kind < 0.3:
        meshes = [_sphere(rng.uniform(0.04, 0.12))]
    elif kind < 0.65:  # a handful of sausages side by side: nearly fingers
        r = rng.uniform(0.01, 0.03)
        meshes = []
        for k in range(int(rng.integers(1, 4))):
            half = rng.uniform(0.05, 0.14)
            angle = np.linspace(0, np.pi / 2, 6)
            end = np.stack([r * np.cos(angle), half + r * np.sin(angle)], 1)
            start = np.stack([r * np.cos(angle), -half - r * np.sin(angle)], 1)[::-1]
            tilt = _basis(unit(rng.normal(0, 1, 3)), np.array([1.0, 0.2, 0]))
            meshes.append(
                lathe(np.concatenate([start, end]), 16).moved(tilt, np.array([2.2 * r * k, 0, 0]))
            )
    else:
        radii = rng.uniform(0.02, 0.1, 6)
        height = np.linspace(-0.15, 0.15, 6) * rng.uniform(0.5, 1.5)
        profile = np.concatenate(
            [[[0, height[0]]], np.stack([radii, height], 1), [[0, height[-1]]]]
        )
        meshes = [lathe(profile, 24)]
    return [piece_from_mesh(mesh, tone * rng.uniform(0.8, 1.2), material) for mesh in meshes]
