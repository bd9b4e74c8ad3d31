"""How to fit: the weights of the terms and the schedule (see :mod:`.fitting`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import HandError

__all__ = ["FitSettings", "Stage", "Weights"]


@dataclass(frozen=True)
class Weights:
    """Weights of the terms against L_proj, which is in hand sizes; 0 switches a term off.

    A mean bone violation of 1 mm, joint angles outside by 3 degrees in the mean, or a mesh 10 mm
    (root mean square) off the PCA space each cost about as much as landmarks 1 % of the hand off.
    """

    bone: float = 10.0  # per metre
    angle: float = 0.2  # per radian
    prior: float = 100.0  # per metre^2
    shape: float = 1e-3  # per unit of mean squared betas
    hint: float = 0.3  # per mean distance in hand radii (only where a 3D guess is given)


@dataclass(frozen=True)
class Stage:
    """A part of the schedule: what moves, for how many steps, and how many starts live on."""

    moves: tuple[str, ...]
    steps: int
    rate: float
    keep: int


@dataclass(frozen=True)
class FitSettings:
    """How to fit.

    Attributes:
        projection: "full" (perspective with K) or "weak" (Eq. 2 as written).
        weights: of the terms.
        starts: starts a hand (see :mod:`.first_guess`).
        stages: the schedule. Orientation and translation first; the worse starts are dropped.
        max_residual: mean landmark distance, in hand sizes, above which a fit is rejected.
        max_angle: mean violation of joint angles, radians, above which it is rejected.
    """

    projection: str = "full"
    weights: Weights = field(default_factory=Weights)
    starts: int = 4
    stages: tuple[Stage, ...] = (
        Stage(("orient", "wrist"), 40, 0.05, 2),
        Stage(("orient", "wrist", "pose"), 60, 0.05, 1),
        Stage(("orient", "wrist", "pose", "betas"), 100, 0.03, 1),
    )
    max_residual: float = 0.05
    max_angle: float = 0.1

    def __post_init__(self) -> None:
        if self.projection not in ("full", "weak"):
            raise HandError(f"projection={self.projection}: choose full or weak.")
        if not self.stages or self.starts < 1:
            raise HandError("fitting needs at least one stage and one start.")
