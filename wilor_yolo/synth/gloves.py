"""Gloves: knitted, of leather or dipped in rubber, with a cuff, over the hands of the body."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..skeleton import LEFT, RIGHT
from .body import BodyModel, BodyShape
from .body_pose import rest_hand_frame
from .body_regions import body_regions
from .pieces import Material, Piece, compact, rgb
from .raycast import vertex_normals
from .texture import random_colour

__all__ = ["Glove", "glove_pieces", "sample_glove"]

_UNDER_RIM = 0.03  # of `Regions.arm`: the skin goes on under the cuff, so that no gap shows
_FOREARM = 0.25  # metres of the mean body's forearm, which is half of `Regions.arm`


@dataclass(frozen=True)
class Glove:
    """A pair of gloves.

    Attributes:
        rim: where the cuff ends on the arm, `cuff`: where the hand's part begins (`Regions.arm`).
        thickness: metres.
        back, palm: linear RGB (3,); the same for gloves of one colour.
        hand_material, cuff_material: of the two parts. cuff_colour: linear RGB (3,).
        dipped: the palm's colour reaches round the fingers to here (-1: all of the hand, 1: none).
    """

    rim: float
    cuff: float
    thickness: float
    back: np.ndarray
    palm: np.ndarray
    hand_material: Material
    cuff_colour: np.ndarray
    cuff_material: Material
    dipped: float

    def hides(self, faces: np.ndarray) -> np.ndarray:
        """(F,) bool: the faces of the skin that lie under the glove, but for its rim."""
        return (body_regions().arm > self.rim + _UNDER_RIM)[faces].all(1)


def _colour(rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.55:  # black, grey, white, brown leather
        grey = float(rng.choice([0.012, 0.02, 0.05, 0.2, 0.75]))
        tint = [1, 1, 1.1] if rng.random() < 0.7 else [1.6, 1, 0.55]
        return np.clip(grey * np.array(tint), 0, 0.85).astype(np.float32)
    return random_colour(rng)


def sample_glove(rng: np.random.Generator) -> Glove:
    """A random pair of gloves."""
    back = _colour(rng)
    two_colours = rng.random() < 0.4
    palm = _colour(rng) if two_colours else back
    cuff_colour = _colour(rng) if rng.random() < 0.5 else back
    second = _colour(rng)
    pattern = "plain"
    if rng.random() < 0.25:
        pattern = ("stripes", "blobs", "plaid", "checks")[int(rng.integers(4))]
    gloss = float(rng.choice([0.0, 0.0, rng.uniform(0.1, 0.7)]))
    cuff = rng.uniform(0.97, 1.0)
    return Glove(
        rim=float(cuff - rng.uniform(0.02, 0.09) / (2 * _FOREARM)),
        cuff=float(cuff),
        thickness=float(np.exp(rng.uniform(np.log(0.0008), np.log(0.0045)))),
        back=back,
        palm=palm,
        hand_material=Material(
            pattern=pattern,
            second=rgb(second),
            size=float(rng.uniform(0.006, 0.03)),
            direction=tuple(np.array([1.0, 0, -0.6]) + rng.normal(0, 0.3, 3)),
            noise=float(rng.uniform(0.03, 0.25)),
            noise_size=float(rng.uniform(0.001, 0.004)),
            gloss=gloss,
        ),
        cuff_colour=cuff_colour,
        cuff_material=Material(
            pattern="stripes" if rng.random() < 0.5 else "plain",
            second=rgb(second if rng.random() < 0.5 else cuff_colour * 0.4),
            size=float(rng.uniform(0.002, 0.02)),
            direction=tuple(np.array([1.0, 0, -0.6]) + rng.normal(0, 0.8, 3)),
            noise=float(rng.uniform(0.05, 0.3)),
            noise_size=float(rng.uniform(0.001, 0.004)),
        ),
        dipped=float(rng.uniform(-0.6, 0.3)),
    )


def glove_pieces(
    glove: Glove,
    skin: Piece,
    worn: np.ndarray,
    size: float,
    model: BodyModel,
    shape: BodyShape,
) -> list[Piece]:
    """The hand and the cuff of both gloves.

    Args:
        skin: the whole body as one piece, posed; its `hand` marks the faces of hands.
        worn: (F,) bool, faces that are to be seen at all.
        size: of the person, 1 for the mean one.
    """
    arm = body_regions().arm
    normals = vertex_normals(skin.vertices, skin.faces)
    vertices = skin.vertices + glove.thickness * size * normals
    rest_normals = vertex_normals(shape.vertices, model.faces)
    inward = np.zeros(len(vertices))  # cosine between the skin and the palm
    for side in (LEFT, RIGHT):
        back = rest_hand_frame(model, shape, side)[:, 1]
        if side == LEFT:
            back = back * [-1, 1, 1]
        own = body_regions().hand == side
        inward[own] = -rest_normals[own] @ back
    dipped = (inward > glove.dipped)[:, None]
    on_hand = worn & (arm > glove.cuff)[skin.faces].all(1)
    on_cuff = worn & (arm > glove.rim)[skin.faces].all(1) & ~on_hand
    pieces = []
    for faces, colour, material in (
        (on_hand, np.where(dipped, glove.palm, glove.back), glove.hand_material),
        (on_cuff, np.tile(glove.cuff_colour, (len(vertices), 1)), glove.cuff_material),
    ):
        if faces.any():
            part = replace(
                skin, vertices=vertices, albedo=colour.astype(np.float32), material=material
            )
            pieces.append(compact(part, np.flatnonzero(faces)))
    return pieces
