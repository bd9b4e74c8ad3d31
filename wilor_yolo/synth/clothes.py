"""Skin, clothes, shoes and gloves of a posed person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body import BodyModel, BodyShape, PosedBody
from .body_regions import ANKLE, HIP, Regions, body_regions
from .gloves import Glove, glove_pieces, sample_glove
from .light import linear_from_srgb
from .pieces import NO_HAND, Material, Piece, compact, rgb
from .raycast import vertex_normals
from .texture import random_colour

__all__ = ["Outfit", "dress", "sample_outfit", "skin_tone"]

# sRGB of skin from light to dark, in steps about equal to the eye.
_TONES = np.array(
    [
        [0.95, 0.79, 0.70], [0.91, 0.72, 0.60], [0.87, 0.66, 0.52], [0.80, 0.59, 0.44],
        [0.71, 0.50, 0.36], [0.60, 0.41, 0.28], [0.48, 0.32, 0.21], [0.37, 0.24, 0.16],
        [0.28, 0.18, 0.13],
    ]
)  # fmt: skip
_GLOVES = 0.08  # share of people in gloves
_OVERLAP = 0.07  # metres the top hangs over the trousers: the cut runs along whole faces


@dataclass(frozen=True)
class Outfit:
    """What a person wears.

    Attributes:
        sleeve: where the sleeves end on the arm, 0..1.05 (see `Regions.arm`); -1: no shirt.
        neckline: height of the neck hole of the mean body, metres; depth: of the V in front.
        waist: height where the top ends. hem: where the trousers end on the leg, 0..1.
        skirt: skirt instead of trousers. loose: (2,) distance of top and bottom from the skin.
        top, bottom, shoes: colours and materials. glove: on both hands, None without.
        barefoot: no shoes.
    """

    sleeve: float
    neckline: float
    depth: float
    waist: float
    hem: float
    skirt: bool
    loose: tuple[float, float]
    top: tuple[np.ndarray, Material]
    bottom: tuple[np.ndarray, Material]
    shoes: np.ndarray
    glove: Glove | None
    barefoot: bool


def skin_tone(rng: np.random.Generator, african: float) -> np.ndarray:
    """Linear RGB (3,) of a person's skin; `african` 0..1 pulls it to the dark side."""
    place = np.clip(rng.beta(1.3, 1.6) * 6.5 + 3.0 * african * rng.random(), 0, 8)
    low = int(min(place, 7))
    tone = _TONES[low] * (1 - place + low) + _TONES[low + 1] * (place - low)
    return linear_from_srgb(np.clip(tone * rng.normal(1, 0.02, 3), 0, 1)).astype(np.float32)


def _cloth(rng: np.random.Generator) -> tuple[np.ndarray, Material]:
    colour = random_colour(rng)
    if rng.random() < 0.3:  # black, white, grey, navy
        colour = np.float32(rng.choice([0.01, 0.03, 0.2, 0.75])) * np.array([1, 1, 1.1], np.float32)
    draw = rng.random()
    pattern = "plain"
    if draw > 0.62:
        pattern = ("stripes", "checks", "blobs", "plaid", "stripes")[int(rng.integers(5))]
    second = random_colour(rng) if rng.random() < 0.5 else colour * np.exp(rng.normal(0, 0.7))
    direction = np.eye(3)[int(rng.choice([2, 2, 0]))] + rng.normal(0, 0.03, 3)
    return colour, Material(
        pattern=pattern,
        second=rgb(np.clip(second, 0.005, 0.9)),
        size=float(np.exp(rng.uniform(np.log(0.012), np.log(0.16)))),
        direction=tuple(direction),
        noise=float(rng.uniform(0.03, 0.16)),
        noise_size=float(rng.uniform(0.003, 0.03)),
    )


def sample_outfit(
    rng: np.random.Generator, shape: BodyShape, glove_share: float = _GLOVES
) -> Outfit:
    """Random everyday clothes; only grown men may go without a shirt."""
    kind = rng.random()
    sleeve = 1.0
    if kind < 0.36:
        sleeve = rng.uniform(0.12, 0.36)
    elif kind < 0.46:
        sleeve = -0.05  # sleeveless
    elif kind < 0.60:
        sleeve = rng.uniform(0.5, 0.9)
    elif kind < 0.95:
        sleeve = rng.uniform(0.93, 1.06)
    elif shape.gender < 0.5 and not shape.is_child:
        sleeve = -1.0
    skirt = rng.random() < 0.14
    return Outfit(
        sleeve=float(sleeve),
        neckline=float(rng.uniform(0.62, 0.74)),
        depth=float(rng.uniform(0, 0.14) if rng.random() < 0.4 else 0.0),
        waist=float(rng.uniform(0.05, 0.17)),
        hem=float(rng.uniform(0.2, 0.5) if rng.random() < 0.25 else rng.uniform(0.85, 1.0)),
        skirt=bool(skirt),
        loose=(float(rng.uniform(0.005, 0.022)), float(rng.uniform(0.004, 0.012))),
        top=_cloth(rng),
        bottom=_cloth(rng),
        shoes=random_colour(rng) * np.float32(rng.choice([0.1, 0.5, 1.0])),
        glove=sample_glove(rng) if rng.random() < glove_share else None,
        barefoot=bool(rng.random() < 0.12),
    )


def _top_part(regions: Regions, outfit: Outfit, model: BodyModel, slack: float) -> np.ndarray:
    """(V,) bool: vertices under the top; `slack` shrinks the region (metres, share of an arm)."""
    front = model.vertices[:, 1] < -0.06
    v_shape = np.where(front, outfit.depth - 1.2 * np.abs(model.vertices[:, 0]), 0)
    neck = outfit.neckline - np.maximum(v_shape, 0) - slack
    on_arm = regions.arm >= 0
    trunk = ~on_arm & (regions.height > outfit.waist + slack) & (regions.height < neck)
    sleeve = on_arm & (regions.arm < outfit.sleeve - 4.5 * slack)
    return (trunk | sleeve) & (outfit.sleeve > -0.5)


def _bottom_part(regions: Regions, outfit: Outfit, slack: float) -> np.ndarray:
    """(V,) bool: vertices under the trousers."""
    off_arm = regions.arm < 0
    below = regions.height < max(outfit.waist, 0.1) + _OVERLAP - slack
    return off_arm & below & (regions.leg < outfit.hem - 2 * slack)


def dress(
    model: BodyModel,
    shape: BodyShape,
    body: PosedBody,
    outfit: Outfit,
    skin: np.ndarray,
    rng: np.random.Generator,
    hidden_hands: tuple[int, ...] = (),
    has_head: bool = True,
) -> list[Piece]:
    """Skin, gloves, shoes, top and trousers or skirt of a posed person, body frame.

    Args:
        skin: (V, 3) linear RGB of the skin.
        hidden_hands: sides whose hand is in a pocket and left out.
        has_head: False leaves the head out (the camera is in it).
    """
    regions = body_regions()
    groups = {name: i for i, name in enumerate(model.groups)}
    normals = vertex_normals(body.vertices, model.faces)
    albedo = skin.copy()
    vertices = body.vertices.copy()
    size = float(np.clip(shape.heads[model.bone("head"), 2] / 0.797, 0.5, 1.2))
    if not outfit.barefoot:
        albedo[regions.is_foot] = outfit.shoes
        vertices[regions.is_foot] += 0.007 * size * normals[regions.is_foot]
    covered = _top_part(regions, outfit, model, 0.03)
    if not outfit.skirt:
        covered |= _bottom_part(regions, outfit, 0.03)
    drop = covered[model.faces].all(1)
    drop |= np.isin(regions.face_hand, hidden_hands) & (regions.face_hand != NO_HAND)
    if not has_head:
        drop |= regions.is_head[model.faces].any(1) | (regions.height[model.faces] > 0.74).any(1)
    is_body = model.group == groups["body"]
    whole = Piece(
        vertices=vertices,
        faces=model.faces,
        rest=shape.vertices,
        albedo=albedo,
        material=Material(noise=0.05, noise_size=0.004, gloss=0.25),
        hand=regions.face_hand,
    )
    gloves: list[Piece] = []
    if outfit.glove is not None:
        gloves = glove_pieces(outfit.glove, whole, is_body & ~drop, size, model, shape)
        drop |= outfit.glove.hides(model.faces)
    pieces = [compact(whole, np.flatnonzero(is_body & ~drop)), *gloves]

    tights = model.group == groups["helper-tights"]
    wrinkles = _wrinkles(shape.vertices, rng)
    top = _top_part(regions, outfit, model, 0.0)
    if not has_head:
        top &= regions.height < 0.70
    bottom = _bottom_part(regions, outfit, 0.0)
    layers = [(top, outfit.loose[0], outfit.top)]
    if not outfit.skirt:
        layers.append((bottom, outfit.loose[1], outfit.bottom))
    elif outfit.hem > 0.8 and outfit.sleeve > -0.5:  # tights under a skirt, or bare legs
        layers.append((bottom, 0.003, outfit.bottom))
    for part, loose, (colour, material) in layers:
        chosen = np.flatnonzero(tights & part[model.faces].all(1))
        if len(chosen):
            pieces.append(
                _layer(
                    model, shape, body, normals, chosen, loose * size, wrinkles, colour, material
                )
            )
    if outfit.skirt:
        chosen = np.flatnonzero(model.group == groups["helper-skirt"])
        length = HIP - outfit.hem * (HIP - ANKLE)
        chosen = chosen[(regions.height[model.faces[chosen]] > length).all(1)]
        colour, material = outfit.bottom
        pieces.append(
            _layer(model, shape, body, normals, chosen, 0.004, wrinkles, colour, material)
        )
    return pieces


def _wrinkles(rest: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(V,) folds of cloth, about -1..1: a few sine waves in random directions."""
    waves = rng.normal(0, 1, (5, 3)) * [26, 26, 40]
    phase = rng.uniform(0, 2 * np.pi, 5)
    return np.sin(rest @ waves.T + phase).mean(1) * 1.6


def _layer(
    model: BodyModel,
    shape: BodyShape,
    body: PosedBody,
    normals: np.ndarray,
    faces: np.ndarray,
    distance: float,
    wrinkles: np.ndarray,
    colour: np.ndarray,
    material: Material,
) -> Piece:
    offset = distance * (1 + 0.6 * wrinkles)
    piece = Piece(
        vertices=body.vertices + offset[:, None] * normals,
        faces=model.faces,
        rest=shape.vertices,
        albedo=np.broadcast_to(np.asarray(colour, np.float32), shape.vertices.shape),
        material=material,
        hand=np.full(len(model.faces), NO_HAND),
    )
    return compact(piece, faces)
