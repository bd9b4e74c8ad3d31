"""What can be seen of each hand: its line in a YOLO-pose label file, and its truth in 3D."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from ..detect.label_files import label_line
from ..skeleton import RIGHT
from .people_render import Stage, View
from .people_scene import SceneHand
from .raycast import RayScene

__all__ = ["HIDDEN", "OUTSIDE", "VISIBLE", "SeenHand", "label_hands", "label_lines", "truth_text"]

OUTSIDE, HIDDEN, VISIBLE = 0, 1, 2
LEAST_VISIBLE = 0.25  # share of a hand that must be seen for a label
_LEAST_SIDE = 5.0  # px: smaller hands are nobody's to find
_MARGIN = 0.03  # of the box's larger side
_PROBE = 56  # rays along the side of the box that measures a whole hand
# A keypoint lies inside the flesh: this much of it may be in front of the bone, metres.
_FLESH = np.array([0.038, 0.026, 0.022, 0.02, 0.02] + [0.024, 0.019, 0.018, 0.018] * 4)


@dataclass(frozen=True)
class SeenHand:
    """One labelled hand.

    Attributes:
        side: LEFT or RIGHT, the class.
        box: (4,) x0, y0, x1, y1 px around what is visible, inside the picture. The middle of the
            first pixel is 0, here and in the keypoints.
        keypoints: (21, 2) px. flags: (21,) OUTSIDE, HIDDEN or VISIBLE.
        keypoints_3d: (21, 3) metres, camera frame.
        visible: share of the hand's own silhouette that can be seen, 0..1.
    """

    side: int
    box: np.ndarray
    keypoints: np.ndarray
    flags: np.ndarray
    keypoints_3d: np.ndarray
    visible: float


def label_hands(
    hands: list[SceneHand], stage: Stage, view: View, intrinsics: np.ndarray
) -> list[SeenHand]:
    """Labels of all hands of which enough is visible."""
    labels = []
    for number, hand in enumerate(hands):
        rows, columns = np.nonzero(view.hand == number)
        if len(rows) < 12:
            continue
        whole = _silhouette_area(stage, number, intrinsics)
        visible = min(1.0, len(rows) / max(whole, 1.0))
        if visible < LEAST_VISIBLE:
            continue
        labels.append(_label(number, hand, view, intrinsics, rows, columns, visible))
    return [label for label in labels if (label.box[2:] - label.box[:2]).min() >= _LEAST_SIDE]


def _label(number, hand, view, intrinsics, rows, columns, visible) -> SeenHand:
    height, width = view.hand.shape
    box = np.array([columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5])
    box += _MARGIN * (box[2:] - box[:2]).max() * np.array([-1, -1, 1, 1])
    points = hand.keypoints
    depth = np.maximum(points[:, 2], 1e-3)
    pixels = points[:, :2] / depth[:, None] * intrinsics[[0, 1], [0, 1]] + intrinsics[:2, 2]
    x, y = np.round(pixels[:, 0]).astype(int), np.round(pixels[:, 1]).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height) & (points[:, 2] > 0.02)
    flags = np.where(inside, HIDDEN, OUTSIDE)
    size = np.linalg.norm(points[9] - points[0]) / 0.092  # children's fingers are thinner
    for k in np.flatnonzero(inside):
        own = view.hand[y[k], x[k]] == number
        # The wrist may be seen through the last of the forearm or a cuff.
        nearly = k == 0 and view.hand[y[k], x[k]] < 0
        near = np.abs(view.depth[y[k], x[k]] - points[k, 2]) < size * _FLESH[k]
        if (own or nearly) and near:
            flags[k] = VISIBLE
    seen = pixels[flags == VISIBLE]
    if len(seen):
        box = np.r_[np.minimum(box[:2], seen.min(0)), np.maximum(box[2:], seen.max(0))]
    box = np.clip(box, -0.5, np.array([width, height, width, height]) - 0.5)
    return SeenHand(hand.side, box, pixels, flags, points, visible)


def _silhouette_area(stage: Stage, number: int, intrinsics: np.ndarray) -> float:
    """Pixels the whole hand would cover if nothing hid it, beyond the picture's edge too."""
    faces = stage.faces[stage.hand == number]
    used, renumbered = np.unique(faces, return_inverse=True)
    points = stage.vertices[used]
    flat = points[:, :2] / points[:, 2:]
    low, high = flat.min(0), flat.max(0)
    x = low[0] + (np.arange(_PROBE) + 0.5) / _PROBE * (high[0] - low[0])
    y = low[1] + (np.arange(_PROBE) + 0.5) / _PROBE * (high[1] - low[1])
    rays = np.ones((_PROBE * _PROBE, 3), np.float32)
    rays[:, 0], rays[:, 1] = np.tile(x, _PROBE), np.repeat(y, _PROBE)
    alone = RayScene(points, renumbered.reshape(-1, 3).astype(np.int32))
    share = alone.blocked(np.zeros(3), rays).mean()
    box_area = (high - low).prod() * intrinsics[0, 0] * intrinsics[1, 1]
    return float(share * box_area)


def label_lines(labels: list[SeenHand], width: int, height: int) -> str:
    """The text of a YOLO-pose label file; empty when there is no hand."""
    lines = []
    for label in labels:
        keypoints = np.column_stack((label.keypoints + 0.5, label.flags))
        line = label_line(label.side, label.box + 0.5, keypoints, (width, height))
        lines.append(line + "\n")
    return "".join(lines)


def truth_text(labels: list[SeenHand], intrinsics: np.ndarray, kind: str) -> str:
    """What the label file cannot say, as JSON: the camera and the joints in space.

    `K` (3, 3) px, `kind` of the scene, and of every labelled hand `is_right`, `bbox_xyxy` px,
    `keypoints_3d` (21, 3) metres in the camera frame, and `visible`, a share. The middle of the
    first pixel is 0.
    """
    hands = [
        {
            "is_right": label.side == RIGHT,
            "bbox_xyxy": np.round(label.box, 2).tolist(),
            "keypoints_3d": np.round(label.keypoints_3d, 5).tolist(),
            "visible": round(label.visible, 3),
        }
        for label in labels
    ]
    return json.dumps({"kind": kind, "K": np.round(intrinsics, 4).tolist(), "hands": hands}) + "\n"
