"""MediaPipe Hands as a detector of the ensemble: its two networks, run by OpenVINO.

A palm detector looks at the letterboxed picture, a landmark network at a turned square around each
palm, as MediaPipe does for still pictures (no tracking). Mind the sides: the landmark network was
taught on mirrored selfies, so what it calls left is a right hand in a picture that was not
mirrored. The sides given here are the real ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import HandError
from ..records import keypoint_box
from ..skeleton import LEFT, NUM_JOINTS, RIGHT
from .candidates import HandCandidates
from .mediapipe_files import MediaPipeFiles, find_files
from .palm_boxes import (
    PALM_INPUT,
    Palms,
    anchor_centres,
    decode_palms,
    hand_square,
    merge_palms,
)

__all__ = ["MediaPipeFinder"]

_LANDMARK_INPUT = 224  # px


class MediaPipeFinder:
    """Finds hands with MediaPipe's networks.

    Args:
        place: see :func:`.mediapipe_files.find_files`.
        palm_score: lowest score of a palm.
        presence: lowest score of the landmark network that there is a hand.
        most: hands a picture at most, best palms first.
        threads: of OpenVINO; 0 for all cores.

    Raises:
        WeightsError: the files are missing.
        HandError: OpenVINO is not installed.
    """

    name = "mediapipe"

    def __init__(
        self,
        place: str | Path | None = None,
        palm_score: float = 0.5,
        presence: float = 0.5,
        most: int = 50,
        threads: int = 0,
    ) -> None:
        files = find_files(place)
        self.palm_score, self.presence, self.most = palm_score, presence, most
        self._palm, self._landmark = _compile(files, threads)
        self._anchors = anchor_centres()

    def __call__(self, image: np.ndarray) -> HandCandidates:
        """Hands of a picture (H, W, 3) uint8 BGR."""
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        palms = self._palms(rgb)
        boxes, scores, sides, sure, keypoints, joints = [], [], [], [], [], []
        for i in np.argsort(-palms.scores, kind="stable")[: self.most]:
            found = self._landmarks(rgb, palms.boxes[i], palms.keypoints[i])
            if found is None:
                continue
            points, presence, selfie_left, world = found
            boxes.append(keypoint_box(points))
            scores.append(presence * float(palms.scores[i]))
            sides.append(RIGHT if selfie_left >= 0.5 else LEFT)
            sure.append(abs(2 * selfie_left - 1) * presence)
            joints.append(world)
            keypoints.append(np.concatenate((points, np.full((NUM_JOINTS, 1), presence)), axis=1))
        if not boxes:
            return HandCandidates.none()
        return HandCandidates(
            np.array(boxes),
            np.array(scores),
            np.array(sides),
            np.array(sure),
            np.array(keypoints),
            np.array(joints),
        )

    def _palms(self, rgb: np.ndarray) -> Palms:
        height, width = rgb.shape[:2]
        scale = PALM_INPUT / max(height, width)
        offset = (PALM_INPUT - np.array([width, height]) * scale) / 2
        # Pixel centres: the border of pixel 0 lies at -0.5.
        shift = offset + 0.5 * scale - 0.5
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        view = _sample(rgb, matrix, PALM_INPUT)
        regression, logits = self._palm(view)
        palms = merge_palms(
            decode_palms(regression, logits.ravel(), self._anchors, self.palm_score)
        )
        # From the input's continuous coordinates (0 is its left border) to the picture's.
        boxes = (palms.boxes - np.tile(offset, 2)) / scale
        return Palms(boxes, (palms.keypoints - offset) / scale, palms.scores)

    def _landmarks(
        self, rgb: np.ndarray, box: np.ndarray, palm_points: np.ndarray
    ) -> tuple[np.ndarray, float, float, np.ndarray] | None:
        """Landmarks (21, 2) px, presence, the score of what the network calls left, and its guess
        of the joints in 3D (21, 3) metres, about the middle of the hand."""
        centre, side, angle = hand_square(box, palm_points)
        if not np.isfinite(side) or side < 2:
            return None
        scale = side / _LANDMARK_INPUT
        c, s = np.cos(angle) * scale, np.sin(angle) * scale
        # Square to picture, continuous coordinates.
        linear = np.array([[c, -s], [s, c]])
        corner = centre - linear @ np.full(2, _LANDMARK_INPUT / 2)
        to_picture = np.concatenate((linear, corner[:, None]), axis=1)
        view = _sample(
            rgb, _of_pixel_centres(cv2.invertAffineTransform(to_picture)), _LANDMARK_INPUT
        )
        points, presence, selfie_left, world = self._landmark(view)
        if presence < self.presence:
            return None
        places = points.reshape(NUM_JOINTS, 3)[:, :2].astype(np.float64)
        joints = world.reshape(NUM_JOINTS, 3).astype(np.float64)
        joints[:, :2] = joints[:, :2] @ (linear / scale).T  # turned back with the square
        return places @ linear.T + corner - 0.5, float(presence), float(selfie_left), joints


def _sample(rgb: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Network input (1, size, size, 3), 0 to 1, black outside the picture."""
    view = cv2.warpAffine(rgb, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return view[None].astype(np.float32) / 255.0


def _of_pixel_centres(matrix: np.ndarray) -> np.ndarray:
    """A map of continuous coordinates as one of pixel indices, whose centres are at + 0.5."""
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ np.full(2, 0.5) - 0.5
    return moved


def _compile(files: MediaPipeFiles, threads: int) -> tuple[Any, Any]:
    """Two callables: picture -> (boxes, logits), picture -> (landmarks, presence, left, 3D)."""
    try:
        import openvino
    except ImportError:
        raise HandError(
            'MediaPipe\'s networks need openvino: pip install "wilor-yolo[annotate]"'
        ) from None
    core = openvino.Core()
    config = {"INFERENCE_NUM_THREADS": threads} if threads else {}
    palm, landmark = (
        core.compile_model(core.read_model(path), "CPU", config)
        for path in (files.palm, files.landmark)
    )

    def run_palm(view: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        boxes, logits = (palm(view)[output] for output in palm.outputs)
        return boxes[0], logits[0]

    def run_landmark(view: np.ndarray) -> tuple[np.ndarray, float, float, np.ndarray]:
        result = landmark(view)
        points, presence, left, world = (result[output] for output in landmark.outputs[:4])
        return points[0], float(presence.squeeze()), float(left.squeeze()), world[0]

    return run_palm, run_landmark
