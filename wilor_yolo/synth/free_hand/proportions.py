"""Sizes and proportions: an adult-like spread of size, and bone-wise lengths and thicknesses.

MakeHuman has one control for the length of all fingers and none per bone, so its shape space
leaves half of ten betas idle. Real hands differ bone by bone: anthropometric surveys find a
coefficient of variation of about 5 % for hand length, breadth and the single finger lengths. Each
sampled hand is varied by independent factors of that order before the shape space is computed.
"""

from __future__ import annotations

import numpy as np

from wilor_yolo.synth.free_hand.arm import (
    FOREARM,
    WRIST_POSITION,
    FlatArms,
    skin_affine,
)
from wilor_yolo.synth.poses import FINGER_SPLAY_DEG, THUMB_REST_DIRECTION

__all__ = ["MEAN_LENGTH", "vary_proportions"]

MEAN_LENGTH = 0.190  # metres, wrist joint to the tip of the straight middle finger
# anny's size controls give 130-300 mm hands; this power of the length tames the spread.
SIZE_COMPRESSION = -0.72

# Standard deviations of the log factors.
FINGER_LENGTH_SD = 0.042  # one finger as a whole
PHALANX_LENGTH_SD = 0.025  # one bone more or less than its finger
LEVEL_SD = 0.065  # long first bones against short second ones, in the four long fingers alike
_LEVELS = (1.0, -0.9, -0.35)  # such that the tips hardly move
BULK_SD = 0.055  # stout or slender: all fingers, the palm and the forearm together
FINGER_THICKNESS_SD = 0.035
PALM_LENGTH_SD, PALM_THICKNESS_SD, PALM_WIDTH_SD = 0.035, 0.030, 0.040
CLIP = 2.2  # in standard deviations: no freaks among the samples


def _log_normal(rng: np.random.Generator, sd: float, *shape: int) -> np.ndarray:
    return np.exp(sd * np.clip(rng.standard_normal(shape), -CLIP, CLIP))


def _bone_directions() -> np.ndarray:
    """(5,3) unit directions of the straight fingers, in the order of the MANO joints."""
    directions = []
    for finger in ("index", "middle", "pinky", "ring"):
        splay = np.deg2rad(FINGER_SPLAY_DEG[finger])
        directions.append([-np.cos(splay), 0.0, np.sin(splay)])
    return np.array([*directions, THUMB_REST_DIRECTION])


def _random_factors(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,17,3,3) symmetric stretch of each bone: along it and across it."""
    linear = np.tile(np.eye(3), (count, 17, 1, 1))
    levels = np.log(_log_normal(rng, LEVEL_SD, count))
    bulk = _log_normal(rng, BULK_SD, count)
    for f, direction in enumerate(_bone_directions()):
        along = np.outer(direction, direction)
        across = np.eye(3) - along
        length = _log_normal(rng, FINGER_LENGTH_SD, count)
        thickness = _log_normal(rng, FINGER_THICKNESS_SD, count) * bulk
        for k in range(3):
            bone = length * _log_normal(rng, PHALANX_LENGTH_SD, count)
            if f < 4:  # not the thumb
                bone = bone * np.exp(levels * _LEVELS[k])
            linear[:, 1 + 3 * f + k] = (
                bone[:, None, None] * along + thickness[:, None, None] * across
            )
    palm = [
        _log_normal(rng, PALM_LENGTH_SD, count),
        _log_normal(rng, PALM_THICKNESS_SD, count) * bulk,
        _log_normal(rng, PALM_WIDTH_SD, count),
    ]
    for axis in range(3):
        linear[:, 0, axis, axis] = palm[axis]
    # The forearm keeps its length and is about as stout as the hand.
    linear[:, FOREARM, 1, 1] = palm[1]
    linear[:, FOREARM, 2, 2] = np.sqrt(palm[2] * bulk)
    return linear


def vary_proportions(arms: FlatArms, copies: int, seed: int) -> FlatArms:
    """Tame the size, then draw `copies` random proportions of every arm.

    Arm 0 (the mean body) comes out first and once, only scaled to the mean length; the others
    follow, `copies` each, so the result has 1 + copies * (N - 1) arms. Their mean length from
    the wrist to the tip of the middle finger is `MEAN_LENGTH`.
    """
    rng = np.random.default_rng(seed)

    def lengths(joints: np.ndarray, tips: np.ndarray) -> np.ndarray:
        return np.linalg.norm(tips[:, 1] - joints[:, 0], axis=1)

    own = lengths(arms.joints, arms.tips)
    scale = MEAN_LENGTH / np.median(own) * (own / np.median(own)) ** SIZE_COMPRESSION
    index = np.concatenate([[0], np.repeat(np.arange(1, len(own)), copies)])
    scale = scale[index, None, None]
    vertices, joints, tips = (
        (part[index] - WRIST_POSITION) * scale for part in (arms.vertices, arms.joints, arms.tips)
    )
    factors = _random_factors(len(index), rng)
    factors[0] = np.eye(3)
    vertices, joints, tips = skin_affine(vertices, joints, tips, arms.weights, factors)

    final = np.full(len(index), MEAN_LENGTH / lengths(joints, tips)[1:].mean())
    final[0] = MEAN_LENGTH / lengths(joints, tips)[0]
    final = final[:, None, None]
    return FlatArms(
        vertices * final + WRIST_POSITION,
        joints * final + WRIST_POSITION,
        tips * final + WRIST_POSITION,
        arms.weights,
    )
