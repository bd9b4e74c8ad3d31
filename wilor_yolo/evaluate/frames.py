"""Frames of a benchmark, and the reconstructor's answer to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..images import read_image
from .reconstruction import known_or_own

if TYPE_CHECKING:
    from ..reconstruct.predictor import HandReconstructor

__all__ = ["EvaluationFrame", "EvaluationTruth", "FramePredictions", "predict_frames"]


@dataclass(frozen=True)
class EvaluationFrame:
    """One hand to rebuild.

    Attributes:
        picture: file.
        box: (4,) xyxy px.
        is_right: side, given by the protocol.
        intrinsics: (3, 3) px, or None where the set has no cameras.
    """

    picture: Path
    box: np.ndarray
    is_right: bool = True
    intrinsics: np.ndarray | None = None


@dataclass(frozen=True)
class EvaluationTruth:
    """True `joints` (N, 21, 3) and `vertices` (N, 778, 3), metres, in the set's order and axes."""

    joints: np.ndarray
    vertices: np.ndarray


@dataclass(frozen=True)
class FramePredictions:
    """N hands in the camera: `joints` (N, 21, 3) and `vertices` (N, 778, 3) metres, our order and
    axes; `keypoints_2d` (N, 21, 2) px."""

    joints: np.ndarray
    vertices: np.ndarray
    keypoints_2d: np.ndarray


def predict_frames(
    reconstructor: HandReconstructor,
    frames: Sequence[EvaluationFrame],
    progress: Callable[[int, int], None] | None = None,
) -> FramePredictions:
    """Rebuild the hand of every frame from the box and camera that the protocol gives.

    Where the set has no cameras, the one is taken under which the joints project to where the
    network sees them in its crop, which is what such a set scores.

    Raises:
        ImageError: a picture is missing or damaged.
    """
    joints = np.zeros((len(frames), 21, 3), np.float32)
    vertices = np.zeros((len(frames), 778, 3), np.float32)
    keypoints = np.zeros((len(frames), 21, 2), np.float32)
    for i, frame in enumerate(frames):
        image = read_image(frame.picture)
        intrinsics = known_or_own(frame.intrinsics, reconstructor, image)
        hands = reconstructor.reconstruct_boxes(
            image, frame.box[None], np.array([frame.is_right]), intrinsics
        )
        assert hands.joints is not None and hands.vertices is not None
        assert hands.cam_t is not None and hands.keypoints_2d is not None
        joints[i] = hands.joints[0] + hands.cam_t[0]
        vertices[i] = hands.vertices[0] + hands.cam_t[0]
        keypoints[i] = hands.keypoints_2d[0]
        if progress is not None:
            progress(i + 1, len(frames))
    return FramePredictions(joints, vertices, keypoints)
