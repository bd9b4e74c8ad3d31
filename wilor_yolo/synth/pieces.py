"""What a scene is put together from: coloured meshes with a procedural material."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .meshes import Mesh

__all__ = ["NO_HAND", "Material", "Piece", "piece_from_mesh", "rgb"]

NO_HAND = -1
PATTERNS = ("plain", "stripes", "checks", "blobs", "plaid", "grain")


@dataclass(frozen=True)
class Material:
    """How a piece is painted, on top of its vertex colours.

    Attributes:
        pattern: one of `PATTERNS`; all but "plain" mix in `second`.
        second: (3,) linear RGB.
        size: period of the pattern, metres.
        direction: (3,) across the stripes, in the piece's rest frame.
        noise: relative deviation of the fine colour noise; noise_size: its cells, metres.
        gloss: 0 matt .. 1 lacquer.
    """

    pattern: str = "plain"
    second: tuple[float, float, float] = (0.5, 0.5, 0.5)
    size: float = 0.05
    direction: tuple[float, float, float] = (0.0, 0.0, 1.0)
    noise: float = 0.04
    noise_size: float = 0.006
    gloss: float = 0.0

    def row(self) -> np.ndarray:
        """The material as the (12,) float32 row the shader reads."""
        return np.array(
            [
                PATTERNS.index(self.pattern),
                *self.second,
                self.size,
                *self.direction,
                self.noise,
                self.noise_size,
                self.gloss,
                0.0,
            ],
            np.float32,
        )


@dataclass(frozen=True)
class Piece:
    """A mesh of one material.

    Attributes:
        vertices: (V, 3) metres, in whatever frame the owner is in.
        faces: (F, 3) int32.
        rest: (V, 3) where the texture is looked up: the unposed shape.
        albedo: (V, 3) linear RGB.
        material: see :class:`Material`.
        hand: (F,) int, which hand (a side, later a number in the scene) a face belongs to,
            `NO_HAND` for everything else.
    """

    vertices: np.ndarray
    faces: np.ndarray
    rest: np.ndarray
    albedo: np.ndarray
    material: Material = field(default_factory=Material)
    hand: np.ndarray | None = None

    def moved(self, rotation: np.ndarray, shift: np.ndarray) -> Piece:
        """Turned by (3, 3), then shifted by (3,)."""
        return replace(self, vertices=self.vertices @ np.asarray(rotation).T + shift)


def rgb(colour: np.ndarray) -> tuple[float, float, float]:
    """A colour (3,) as plain numbers."""
    red, green, blue = (float(c) for c in colour)
    return red, green, blue


def piece_from_mesh(mesh: Mesh, colour: np.ndarray, material: Material | None = None) -> Piece:
    """A mesh in one linear RGB colour (3,)."""
    return Piece(
        vertices=mesh.vertices,
        faces=mesh.faces,
        rest=mesh.vertices,
        albedo=np.tile(np.asarray(colour, np.float32), (len(mesh.vertices), 1)),
        material=material or Material(),
    )


def compact(piece: Piece, faces: np.ndarray) -> Piece:
    """Only the chosen faces (indices or bool (F,)), and only the vertices they use."""
    kept = piece.faces[faces]
    used, renumbered = np.unique(kept, return_inverse=True)
    return replace(
        piece,
        vertices=piece.vertices[used],
        faces=renumbered.reshape(-1, 3).astype(np.int32),
        rest=piece.rest[used],
        albedo=piece.albedo[used],
        hand=None if piece.hand is None else piece.hand[faces],
    )
