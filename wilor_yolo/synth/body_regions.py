"""Where each vertex of the body lies: arms, hands, legs, head, trunk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..skeleton import LEFT, RIGHT
from .body import SUFFIX, load_body
from .pieces import NO_HAND

__all__ = ["ANKLE", "HIP", "Regions", "body_regions"]

HIP, ANKLE = 0.12, -0.74  # heights of the mean body


@dataclass(frozen=True)
class Regions:
    """Where each vertex of the body model lies, measured on the mean body.

    Attributes:
        arm: (V,) 0 at the shoulder, 0.5 elbow, 1 wrist, beyond 1 on the hand; -1 off the arms.
        leg: (V,) 0 at the hip, 1 at the ankle, above 1 on the foot; -1 off the legs.
        height: (V,) metres in the mean rest pose.
        hand: (V,) side whose hand the vertex belongs to, or `NO_HAND`.
        is_head, is_foot: (V,) bool.
        face_hand: (F,) side of a body face, or `NO_HAND`.
    """

    arm: np.ndarray
    leg: np.ndarray
    height: np.ndarray
    hand: np.ndarray
    is_head: np.ndarray
    is_foot: np.ndarray
    face_hand: np.ndarray


@lru_cache(maxsize=1)
def body_regions() -> Regions:
    """Regions of the shipped body model."""
    model = load_body()
    v = model.vertices
    arm = np.full(len(v), -1.0)
    hand = np.full(len(v), NO_HAND, np.int32)
    for side in (LEFT, RIGHT):
        s = SUFFIX[side]
        points = [model.heads[model.bone(n + s)] for n in ("upperarm01", "lowerarm01", "wrist")]
        own = (v[:, 0] > 0) == (side == LEFT)
        upper = (model.weight_of("upperarm") > 0.5) & own
        fore = (model.weight_of("lowerarm", "wrist", "finger") > 0.5) & own
        for chosen, a, b, start in (
            (upper, points[0], points[1], 0.0),
            (fore, points[1], points[2], 0.5),
        ):
            line = b - a
            along = (v[chosen] - a) @ line / (line @ line)
            arm[chosen] = start + 0.5 * along
        hand[(model.weight_of("wrist" + s, "finger") > 0.5) & own] = side
    leg = np.full(len(v), -1.0)
    low = (arm < 0) & (v[:, 2] < HIP + 0.03)
    leg[low] = (HIP - v[low, 2]) / (HIP - ANKLE)
    of_corner = hand[model.faces]
    same = (of_corner == of_corner[:, :1]).all(1)
    return Regions(
        arm=arm,
        leg=leg,
        height=v[:, 2],
        hand=hand,
        is_head=model.weight_of("head") > 0.5,
        is_foot=model.weight_of("foot") > 0.5,
        face_hand=np.where(same, of_corner[:, 0], NO_HAND),
    )
