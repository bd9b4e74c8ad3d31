"""A detector's result as `Hands` and a camera matrix.

Duck-types Ultralytics `Results` (`boxes`, `keypoints`, `orig_img`, `path`) and imports nothing of
Ultralytics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import HandError
from ..geometry import default_intrinsics
from ..hands import Hands
from ..images import exif_focal
from ..skeleton import LEFT, RIGHT

__all__ = ["Request", "intrinsics_of", "read_result"]


@dataclass(frozen=True)
class Request:
    """One picture and its hands, on the way through the network.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        hands: what was detected.
        intrinsics: K (3, 3), px.
    """

    image: np.ndarray
    hands: Hands
    intrinsics: np.ndarray


def read_result(result: Any, K: np.ndarray | None) -> Request:
    """Read one result.

    Args:
        result: Ultralytics `Results`, or what looks like it.
        K: (3, 3) intrinsics, px, or None, see :func:`intrinsics_of`.

    Raises:
        HandError: no result of a detector of left and right hands, or `K` is no camera matrix.
    """
    if not hasattr(result, "boxes"):
        raise HandError(
            f"a {type(result).__name__} is no detector result; give Results, or a list of them."
        )
    names = getattr(result, "names", None)
    if names is not None and not _are_sides(names):
        shown = ", ".join(str(names[i]) for i in list(names)[:3])
        raise HandError(
            f"the detector's classes are {shown}, {len(names)} in all, not left (0) and right (1) "
            "hands; give its boxes and their sides to reconstruct_boxes."
        )
    if result.boxes is None:
        raise HandError("these Results have no boxes; give those of a detector of hands.")
    image = result.orig_img
    height, width = image.shape[:2]
    path = str(getattr(result, "path", None) or "")
    if re.fullmatch(r"image\d+\.jpg", path):
        path = ""  # Ultralytics' name for an array
    boxes = result.boxes
    keypoints = getattr(result, "keypoints", None)
    hands = Hands(
        bbox_xyxy=_numpy(boxes.xyxy).reshape(-1, 4),
        confidence=_numpy(boxes.conf),
        is_right=_numpy(boxes.cls).astype(int) == RIGHT,
        image_size=(width, height),
        source=path or None,
        track_id=None if boxes.id is None else _numpy(boxes.id).astype(np.int64),
        keypoints_2d_detector=_keypoints(keypoints, len(boxes)),
    )
    return Request(image, hands, intrinsics_of(K, width, height, hands.source))


def _are_sides(names: dict[int, str]) -> bool:
    """Two classes; where their names speak of sides, the left one first."""
    if len(names) != 2:
        return False
    first, second = (str(names[i]).lower() for i in (LEFT, RIGHT))
    return "right" not in first and "left" not in second


def _keypoints(keypoints: Any, count: int) -> np.ndarray | None:
    if keypoints is None or keypoints.data.shape[1:] != (21, 3) or len(keypoints.data) != count:
        return None
    return _numpy(keypoints.data)


def intrinsics_of(K: np.ndarray | None, width: int, height: int, source: str | None) -> np.ndarray:
    """A given camera matrix, checked, or the default one: (3, 3) px.

    Args:
        K: (3, 3), or None.
        width, height: of the picture, px.
        source: its file, whose EXIF data may know the focal length; else f = max(width, height).

    Raises:
        HandError: `K` is no camera matrix.
    """
    if K is None:
        focal = exif_focal(source, width, height) if source and Path(source).is_file() else None
        return default_intrinsics(width, height, focal)
    try:
        matrix = np.asarray(K, np.float32)
    except (ValueError, TypeError):  # ragged, or no numbers
        matrix = np.zeros(0, np.float32)
    right = matrix.shape == (3, 3) and bool(np.isfinite(matrix).all())
    if right:
        (fx, _, cx), (_, fy, cy), _ = matrix.tolist()
        right = min(fx, fy) > 0 and np.allclose(matrix, [[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    if not right:
        raise HandError(
            "K must be a (3, 3) camera matrix with positive focal lengths in pixels: "
            f"[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]; got {matrix.tolist()}."
        )
    return matrix


def _numpy(value: Any) -> np.ndarray:
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    return np.asarray(array, np.float32)
