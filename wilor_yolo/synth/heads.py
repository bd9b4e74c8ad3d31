"""Faces and what is on heads: skin colours, brows, beards, eyes, hair, hats.

Shapes are cut from the skin of the head itself, in head coordinates: centred between the ears,
scaled so that the skull spans about -1..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .body import BodyModel, BodyShape, PosedBody, load_body
from .body_regions import body_regions
from .light import linear_from_srgb
from .meshes import Mesh, lathe, tube
from .pieces import Material, Piece, compact, piece_from_mesh
from .raycast import vertex_normals
from .texture import random_colour

__all__ = ["HeadStyle", "head_pieces", "paint_skin", "sample_head_style"]

_HAIR_COLOURS = np.array(
    [
        [0.05, 0.04, 0.04], [0.09, 0.07, 0.06], [0.17, 0.11, 0.08], [0.28, 0.18, 0.11],
        [0.42, 0.28, 0.16], [0.62, 0.48, 0.30], [0.78, 0.66, 0.46], [0.45, 0.20, 0.10],
        [0.55, 0.54, 0.53], [0.85, 0.84, 0.82],
    ]
)  # fmt: skip
_STYLES = ("bald", "short", "medium", "afro", "long", "ponytail", "bun", "hat", "scarf")
_EYE_COLOURS = np.array([[0.2, 0.1, 0.05], [0.3, 0.2, 0.1], [0.2, 0.35, 0.5], [0.25, 0.35, 0.2]])


@dataclass(frozen=True)
class HeadStyle:
    """Hair and face.

    Attributes:
        style: one of `_STYLES`. hair: (3,) linear RGB. cloth: colour of a hat or scarf.
        thickness: of the hair, metres. length: of long hair below the ears, metres.
        beard: 0 none .. 1 full. brows: 0..1 strength. eyes: (3,) linear RGB of the iris.
        hairline: shift of the front hairline, head units.
    """

    style: str
    hair: np.ndarray
    cloth: np.ndarray
    thickness: float
    length: float
    beard: float
    brows: float
    eyes: np.ndarray
    hairline: float


def sample_head_style(rng: np.random.Generator, shape: BodyShape) -> HeadStyle:
    """Random hair for a person; women wear it longer more often, men may have beards."""
    woman = shape.gender > 0.5
    weights = (
        [0.02, 0.18, 0.2, 0.06, 0.26, 0.1, 0.08, 0.05, 0.05]
        if woman
        else [0.12, 0.42, 0.18, 0.06, 0.05, 0.02, 0.01, 0.13, 0.01]
    )
    colours = len(_HAIR_COLOURS)
    grey = rng.random() < max(0.0, shape.age - 0.72) * 2.5
    pick = int(rng.integers(colours - 2, colours)) if grey else int(rng.integers(colours - 2))
    if rng.random() < 0.4 and not grey:
        pick = int(rng.integers(3))
    hair = linear_from_srgb(_HAIR_COLOURS[pick] * rng.uniform(0.8, 1.2)).astype(np.float32)
    if rng.random() < 0.03:
        hair = random_colour(rng)
    grown_man = not woman and not shape.is_child
    return HeadStyle(
        style=str(rng.choice(_STYLES, p=weights)),
        hair=np.clip(hair, 0.003, 0.9),
        cloth=random_colour(rng),
        thickness=float(rng.uniform(0.008, 0.03)),
        length=float(rng.uniform(0.06, 0.32)),
        beard=float(rng.uniform(0.25, 1.0) if grown_man and rng.random() < 0.45 else 0.0),
        brows=float(rng.uniform(0.3, 0.9)),
        eyes=linear_from_srgb(_EYE_COLOURS[int(rng.integers(4))]).astype(np.float32),
        hairline=float(rng.normal(0, 0.12)),
    )


@dataclass(frozen=True)
class _HeadFrame:
    """Head coordinates (V, 3): x left, y back, z up, skull about -1..1; and the eyes' centres."""

    position: np.ndarray
    eyes: np.ndarray


@lru_cache(maxsize=1)
def _head_frame() -> _HeadFrame:
    model = load_body()
    regions = body_regions()
    body = np.unique(model.faces[model.group == 0])
    skull = body[(model.weight_of("head")[body] > 0.7) & (regions.height[body] > 0.80)]
    low, high = model.vertices[skull].min(0), model.vertices[skull].max(0)
    centre = np.array([0.0, 0.5 * (low[1] + high[1]), 0.835])
    half = np.array([0.5 * (high[0] - low[0]), 0.5 * (high[1] - low[1]), high[2] - 0.835])
    eyes = np.array(
        [model.vertices[np.unique(model.faces[model.group == g])].mean(0) for g in (4, 5)]
    )
    return _HeadFrame((model.vertices - centre) / half, (eyes - centre) / half)


def _hairline(style: HeadStyle) -> np.ndarray:
    """(V,) height above the hairline in head units; hair grows where it is positive."""
    p = _head_frame().position
    back = p[:, 1] / (np.linalg.norm(p[:, :2], axis=1) + 1e-6)  # -1 front, 1 back
    line = np.interp(
        back, [-1, -0.75, -0.35, 0.0, 0.3, 1.0], [0.62, 0.6, 0.25, -0.05, -0.45, -0.75]
    )
    line = line + np.where(back < -0.2, style.hairline, 0)
    above = p[:, 2] - line
    usable = body_regions().is_head | (body_regions().height > 0.76)
    return np.where(usable, above, -1.0)


def paint_skin(
    model: BodyModel, tone: np.ndarray, style: HeadStyle, rng: np.random.Generator
) -> np.ndarray:
    """(V, 3) linear RGB of the skin: tone, lips, nails, palms, brows, beard, short hair."""
    regions = body_regions()
    frame = _head_frame()
    p = frame.position
    colour = np.tile(tone, (len(p), 1)).astype(np.float32)
    red = np.array([1.0, 0.78, 0.76], np.float32)
    lips = model.lips[:, None] * rng.uniform(0.4, 1.0)
    lipstick = np.array([0.45, 0.03, 0.05]) if rng.random() < 0.15 else tone * [0.85, 0.5, 0.5]
    colour = colour * (1 - lips) + lips * lipstick
    # Palms are lighter and redder: their normals look along the palm of the resting hand.
    palm = _palm_side()[:, None]
    colour = colour * (1 - 0.5 * palm) + 0.5 * palm * np.maximum(colour, [0.42, 0.24, 0.18]) * red
    nails = model.nails[:, None]
    lacquer = random_colour(rng) if rng.random() < 0.15 else tone * 0.5 + [0.32, 0.2, 0.18]
    colour = colour * (1 - 0.8 * nails) + 0.8 * nails * lacquer
    tips = (regions.hand >= 0)[:, None] * 0.12
    colour *= 1 - tips * [0.0, 0.6, 0.6]

    eyes = frame.eyes
    eye_x, eye_z = abs(eyes[0, 0]), eyes[0, 2]
    front = p[:, 1] < -0.45
    arch = eye_z + 0.20 + 0.05 * np.cos((np.abs(p[:, 0]) - eye_x) * 3)
    brow = front & (np.abs(p[:, 2] - arch) < 0.065) & (np.abs(np.abs(p[:, 0]) - eye_x) < 0.27)
    colour[brow] = colour[brow] * (1 - style.brows) + style.brows * style.hair
    if style.beard > 0:
        jaw = regions.is_head & (p[:, 2] < -0.48) & (p[:, 1] < 0.15) & (model.lips < 0.3)
        cheek = regions.is_head & (np.abs(p[:, 0]) > 0.62) & (p[:, 2] < -0.1) & (p[:, 1] < -0.05)
        cheek &= (model.ears < 0.2) & (p[:, 1] > -0.5)
        grown = (jaw | cheek) & (regions.height > 0.70)
        colour[grown] = colour[grown] * (1 - 0.9 * style.beard) + 0.9 * style.beard * style.hair
    if style.style in ("short", "hat", "bald", "ponytail", "bun"):
        amount = np.clip(_hairline(style) / 0.1, 0, 1) * (model.ears < 0.3)
        amount *= 0.15 if style.style == "bald" else 0.85
        colour = colour * (1 - amount[:, None]) + amount[:, None] * style.hair
    return np.clip(colour, 0.004, 0.95).astype(np.float32)


@lru_cache(maxsize=1)
def _palm_side() -> np.ndarray:
    """(V,) 0..1: how far a vertex of a hand looks out of the palm."""
    model = load_body()
    normals = vertex_normals(model.vertices, model.faces)
    regions = body_regions()
    out = np.zeros(len(normals), np.float32)
    for side, mirror in ((0, 1), (1, -1)):
        wrist, middle, index, little = (
            model.heads[model.bone(n + (".L", ".R")[side])]
            for n in ("wrist", "finger3-1", "finger2-1", "finger5-1")
        )
        palm = mirror * np.cross(middle - wrist, index - little)
        palm = palm / np.linalg.norm(palm)
        own = regions.hand == side
        out[own] = np.clip(0.5 + 0.9 * (normals[own] @ palm), 0, 1)
    return out


def head_pieces(
    model: BodyModel,
    shape: BodyShape,
    body: PosedBody,
    style: HeadStyle,
    rng: np.random.Generator,
) -> list[Piece]:
    """Eyes, and hair or a hat, body frame."""
    pieces = [_eyes(model, shape, body, style)]
    hair = Material(noise=0.35, noise_size=0.006, gloss=0.2)
    normals = vertex_normals(body.vertices, model.faces)
    above = _hairline(style)
    if style.style in ("short", "medium", "afro", "long", "ponytail", "bun", "scarf"):
        thickness = {
            "short": 0.4, "medium": 1.1, "afro": 2.8, "long": 0.8, "ponytail": 0.4, "bun": 0.4,
            "scarf": 0.5,
        }[style.style] * style.thickness  # fmt: skip
        colour = style.hair
        if style.style == "scarf":
            above = above + 0.25
            colour, hair = style.cloth, Material(noise=0.08, noise_size=0.02)
        wave = np.sin(shape.vertices @ rng.normal(0, 60, (3, 3)) + rng.uniform(0, 6, 3)).mean(1)
        depth = thickness * np.clip(above / 0.3, 0, 1) ** 0.5 * (1 + 0.35 * wave)
        cap = Piece(
            vertices=body.vertices + (depth + 0.001)[:, None] * normals,
            faces=model.faces,
            rest=shape.vertices,
            albedo=np.tile(colour, (len(above), 1)),
            material=hair,
        )
        grows = (above[model.faces] > 0).all(1) & (model.group == 0)
        if style.style != "scarf":
            grows &= (model.ears[model.faces] < 0.5).all(1)
        pieces.append(compact(cap, np.flatnonzero(grows)))
    frame = _posed_head(model, shape, body)
    if style.style in ("long", "scarf"):
        material = hair if style.style == "long" else Material(noise=0.08, noise_size=0.02)
        colour = style.hair if style.style == "long" else style.cloth
        mesh = _drape(style.length, style.style == "scarf", rng)
        pieces.append(piece_from_mesh(mesh.moved(*frame), colour, material))
    elif style.style == "ponytail":
        drop = style.length
        path = np.array([[0, 1.0, 0.3], [0, 1.35, 0.2], [0, 1.45, -0.3 - 4 * drop],
                         [0, 1.3, -0.6 - 7 * drop]]) * _SKULL  # fmt: skip
        radii = np.array([[0.012] * 2, [0.028] * 2, [0.026] * 2, [0.006] * 2])
        pieces.append(
            piece_from_mesh(
                tube(path, radii, up=np.array([1.0, 0, 0])).moved(*frame), style.hair, hair
            )
        )
    elif style.style == "bun":
        ball = _ball(rng.uniform(0.03, 0.05))
        place = np.array([0, rng.uniform(0.4, 1.1), rng.uniform(0.5, 1.0)])
        place = place / np.linalg.norm(place) * 1.12 * _SKULL
        pieces.append(piece_from_mesh(ball.moved(np.eye(3), place).moved(*frame), style.hair, hair))
    elif style.style == "hat":
        pieces += [
            piece_from_mesh(mesh.moved(*frame), style.cloth, Material(noise=0.06, noise_size=0.01))
            for mesh in _hat(rng)
        ]
    return pieces


_SKULL = np.array([0.078, 0.10, 0.118])  # half axes of the mean skull, metres


def _posed_head(
    model: BodyModel, shape: BodyShape, body: PosedBody
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation with scale, and position of the head's centre in the body frame."""
    regions = body_regions()
    own = regions.is_head & (regions.height > 0.80)
    span = shape.vertices[own].max(0) - shape.vertices[own].min(0)
    mean = model.vertices[own].max(0) - model.vertices[own].min(0)
    i = model.bone("head")
    centre = np.array([0.0, 0.5 * (shape.vertices[own, 1].max() + shape.vertices[own, 1].min()),
                       shape.vertices[own, 2].max() - 0.119 * span[2] / mean[2]])  # fmt: skip
    place = body.joints[i] + body.rotations[i] @ (centre - shape.heads[i])
    return body.rotations[i] * float((span / mean).mean()), place


def _ball(radius: float) -> Mesh:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 12)
    return lathe(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), 18)


def _hat(rng: np.random.Generator) -> list[Mesh]:
    """A cap, beanie, helmet or brimmed hat, head frame, metres."""
    angle = np.linspace(0, np.pi / 2, 10)
    grow = rng.uniform(1.1, 1.22)
    base = rng.uniform(0.25, 0.45)
    profile = np.stack(
        [np.cos(angle), base + (1.02 - base + rng.uniform(0, 0.3)) * np.sin(angle)], 1
    )
    crown = lathe(profile, 28)
    meshes = [Mesh(crown.vertices * _SKULL * [grow, grow, 1.0], crown.faces)]
    kind = rng.random()
    if kind < 0.45:  # a peak in front
        peak = lathe(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.02], [0.0, 0.03]]), 24)
        size = [0.95 * _SKULL[0], 0.09, 0.4]
        place = np.array([0, -0.85 * _SKULL[1], (base + 0.02) * _SKULL[2]])
        meshes.append(Mesh(peak.vertices * size + place, peak.faces))
    elif kind < 0.65:  # a brim all around
        width = rng.uniform(1.5, 2.1)
        brim = lathe(np.array([[0.9, 0.0], [width, -0.05], [width, 0.0], [0.9, 0.06]]), 28)
        place = np.array([0, 0, base * _SKULL[2]])
        meshes.append(Mesh(brim.vertices * _SKULL + place, brim.faces))
    return meshes


def _drape(length: float, around: bool, rng: np.random.Generator) -> Mesh:
    """Long hair or a scarf that falls from the ears down the back, head frame, metres."""
    open_angle = np.deg2rad(rng.uniform(95, 125) if not around else 150)
    rows, columns = 10, 29
    t = np.linspace(0, 1, rows)[:, None]
    angle = np.linspace(-open_angle, open_angle, columns)[None]
    wave = 1 + 0.04 * np.sin(angle * rng.uniform(6, 14) + rng.uniform(0, 6)) * t
    radius_x = (1.12 - 0.1 * t + 0.5 * t**2 * length / 0.3) * wave
    radius_y = (1.08 - 0.25 * t + 0.2 * t**2) * wave
    x = radius_x * np.sin(angle) * _SKULL[0]
    y = radius_y * np.cos(angle) * _SKULL[1]
    z = 0.35 * _SKULL[2] - t * (0.35 * _SKULL[2] + 0.06 + length) + 0 * angle
    i, j = np.mgrid[: rows - 1, : columns - 1]
    a = (i * columns + j).ravel()
    faces = np.concatenate(
        [np.stack([a, a + columns, a + columns + 1], 1), np.stack([a, a + columns + 1, a + 1], 1)]
    )
    return Mesh(np.stack([x, y, z], -1).reshape(-1, 3), faces.astype(np.int32))


def _eyes(model: BodyModel, shape: BodyShape, body: PosedBody, style: HeadStyle) -> Piece:
    """Eyeballs with iris and pupil, by the distance from their front pole."""
    albedo = np.full((len(shape.vertices), 3), 0.62, np.float32)
    for group in (4, 5):
        own = np.unique(model.faces[model.group == group])
        points = shape.vertices[own]
        centre = 0.5 * (points.min(0) + points.max(0))
        away = points - centre
        cosine = -away[:, 1] / (np.linalg.norm(away, axis=1) + 1e-9)
        albedo[own[cosine > 0.84]] = style.eyes
        albedo[own[cosine > 0.97]] = 0.006
    whole = Piece(
        vertices=body.vertices,
        faces=model.faces,
        rest=shape.vertices,
        albedo=albedo,
        material=Material(noise=0.0, gloss=0.8),
    )
    return compact(whole, np.flatnonzero(model.group >= 4))
