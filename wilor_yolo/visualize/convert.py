"""`Hands` as supervision's `Detections` and `KeyPoints`, for its annotators, tools and metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import supervision as sv

from ..errors import HandError
from ..hands import Hands
from ..skeleton import LEFT, RIGHT, SIDE_NAMES

__all__ = ["to_detections", "to_keypoints"]

# What goes along in `Detections.data`, a row for each hand; the intrinsics are repeated.
_CARRIED = (
    "keypoints_2d_detector",
    "keypoints_2d",
    "vertices",
    "joints",
    "cam_t",
    "global_orient",
    "hand_pose",
    "betas",
    "scale",
)


def to_detections(hands: Hands) -> sv.Detections:
    """Boxes, scores, sides and tracks of N hands.

    Returns:
        `Detections` with ``class_id`` 0 for left and 1 for right hands, ``tracker_id`` where the
        hands are tracked, and in ``data``: ``class_name`` ("left" or "right") and every array of
        `Hands` but ``faces`` that is there, under its own name, shape, unit and frame (``K`` as
        (N, 3, 3)).
        They follow their hand through slicing, filtering, `merge` and non-maximum suppression;
        tools that move boxes (`InferenceSlicer`) do not move them.
    """
    carried = {name: getattr(hands, name) for name in _CARRIED}
    if hands.K is not None:
        carried["K"] = np.repeat(hands.K[None], len(hands), axis=0)
    return sv.Detections(
        xyxy=np.asarray(hands.bbox_xyxy, np.float32).reshape(-1, 4),
        confidence=np.asarray(hands.confidence, np.float32),
        class_id=_class_id(hands),
        tracker_id=None if hands.track_id is None else np.asarray(hands.track_id, int),
        data=_class_name(hands) | {k: v for k, v in carried.items() if v is not None},
    )


def to_keypoints(hands: Hands, source: str = "auto") -> sv.KeyPoints:
    """The 21 keypoints of N hands, px; pixels are counted as in the field of `Hands` they are from.

    Args:
        hands: detected or reconstructed hands.
        source: ``"projected"`` for the reconstructed joints in the picture, ``"detector"`` for the
            keypoints the detector drew, ``"auto"`` for the first of the two that is there.

    Returns:
        `KeyPoints` with ``xy`` (N, 21, 2), ``class_id`` 0 for left and 1 for right,
        ``detection_confidence``, and ``data["class_name"]``. ``keypoint_confidence`` is the
        detector's; projected joints have none. ``visible`` is False for projected joints behind
        the camera.

    Raises:
        HandError: `source` is something else, or is not there.
    """
    if source not in ("auto", "projected", "detector"):
        raise HandError(f'source must be "auto", "projected" or "detector", got {source!r}.')
    confidence = visible = None
    if not len(hands):
        xy = np.zeros((0, 21, 2), np.float32)
    elif hands.keypoints_2d is not None and source != "detector":
        xy = hands.keypoints_2d
        if hands.joints is not None and hands.cam_t is not None:
            visible = (hands.joints + hands.cam_t[:, None])[..., 2] > 0
    elif hands.keypoints_2d_detector is not None and source != "projected":
        xy = hands.keypoints_2d_detector[..., :2]
        confidence = np.asarray(hands.keypoints_2d_detector[..., 2], np.float32)
    else:
        raise HandError(
            f"these hands have no {'' if source == 'auto' else source + ' '}keypoints; use a pose "
            "detector, or run them through HandReconstructor first."
        )
    return sv.KeyPoints(
        xy=np.asarray(xy, np.float32),
        class_id=_class_id(hands),
        keypoint_confidence=confidence,
        detection_confidence=np.asarray(hands.confidence, np.float32),
        visible=visible,
        data=_class_name(hands),
    )


def _class_id(hands: Hands) -> np.ndarray:
    return np.where(np.asarray(hands.is_right, bool), RIGHT, LEFT).astype(int)


def _class_name(hands: Hands) -> dict[str, Any]:
    return {"class_name": np.array([SIDE_NAMES[int(c)] for c in _class_id(hands)], dtype=str)}
