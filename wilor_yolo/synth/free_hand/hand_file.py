"""The arrays of a hand in MANO format: its left twin, and writing them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wilor_yolo.whole_files import replacing

__all__ = ["mirror_to_left", "save_npz"]


def mirror_to_left(hand: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The left hand in MANO format: x mirrored, faces reversed.

    A left pose is the right one with the y and z parts of every axis-angle negated.
    """
    flip = np.array([-1.0, 1.0, 1.0], np.float32)
    turn = np.tile(np.array([1.0, -1.0, -1.0], np.float32), 15)
    left = dict(hand)
    for name in ("v_template", "J"):
        left[name] = hand[name] * flip
    left["shapedirs"] = hand["shapedirs"] * flip[None, :, None]
    for name in ("f", "f_cap"):
        left[name] = hand[name][:, ::-1]
    # A pose feature is an entry (a, b) of R - I, which changes sign when one of a, b is x.
    sign = np.outer(flip, flip).ravel()
    left["posedirs"] = hand["posedirs"] * flip[None, :, None] * np.tile(sign, 15)
    left["hands_mean"] = hand["hands_mean"] * turn
    left["hands_components"] = hand["hands_components"] * turn
    left["flex_axis"] = hand["flex_axis"] * np.array([1.0, -1.0, -1.0], np.float32)
    return left


def save_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Compressed .npz, written under a temporary name first."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
