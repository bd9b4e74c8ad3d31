"""Detections that were computed elsewhere, as a detector of the ensemble.

Two layouts are read:

* a `.json` file `{"detections": [{"file": "a.jpg", "frame": 0, "hands": [...]}]}` with hands
  `{"box": [x0, y0, x1, y1], "confidence": 0.9, "side": "left", "keypoints": [[x, y, c], ...]}`.
  `frame` (0 by default), `side` and `keypoints` may be missing, and so may `box` when there are
  keypoints. `file` is the end of the picture's or video's path, the longest one counts, and rows
  of one picture are joined. ContactHands-style boxes go here.
* a folder of OpenPose's JSON files, `<name>_keypoints.json`, or
  `<video>_<12 digits>_keypoints.json` for frame number so and so of a video (or for a picture whose
  name ends in the digits), with
  `hand_left_keypoints_2d` and `hand_right_keypoints_2d` of each of the `people`.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ..errors import HandError
from ..metrics.detection import UNKNOWN
from ..records import keypoint_box
from ..skeleton import LEFT, NUM_JOINTS, RIGHT, SIDE_NAMES
from .candidates import FrameName, HandCandidates

__all__ = ["FileFinder", "OpenPoseFinder", "stored_finder"]

_SIDES = {name: side for side, name in SIDE_NAMES.items()}
_OPENPOSE = re.compile(r"(?P<stem>.+?)(?:_(?P<frame>\d{12}))?_keypoints\.json")
_OPENPOSE_KEYS = {"hand_left_keypoints_2d": LEFT, "hand_right_keypoints_2d": RIGHT}
_MIN_POINTS = 5  # OpenPose always writes 21; most of an unseen hand's are zeros
_MIN_MEAN = 0.15  # of the confidence of the points of a hand


def stored_finder(path: str | Path) -> FileFinder | OpenPoseFinder:
    """The reader for a `.json` file or a folder.

    Raises:
        HandError: neither.
    """
    path = Path(path)
    if path.is_dir():
        return OpenPoseFinder(path)
    return FileFinder(path)


class FileFinder:
    """Detections of a JSON file (see above). A picture it does not name was not looked at.

    Raises:
        HandError: the file is missing or has another layout.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.name = path.stem
        self._hands: dict[tuple[str, int], list[tuple[PurePath, HandCandidates]]] = defaultdict(
            list
        )
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["detections"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HandError(f"{path} holds no detections ({error!r}).") from None
        for number, row in enumerate(rows):
            try:
                file, frame = PurePath(row["file"]), int(row.get("frame", 0))
                hands = [_hand(hand) for hand in row["hands"]]
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise HandError(f"{path}: detection {number} is malformed ({error!r}).") from None
            self._hands[file.name, frame].append((file, HandCandidates.joined(hands)))

    def stored(self, frame: FrameName) -> HandCandidates | None:
        """Hands of a frame; None when the file does not name it."""
        path = PurePath(os.path.abspath(frame.path))
        matches = defaultdict(list)
        for file, hands in self._hands.get((path.name, frame.index), ()):
            parts = file.parts[1:] if file.is_absolute() else file.parts
            if path.parts[-len(parts) :] == parts:
                matches[len(parts)].append(hands)
        return HandCandidates.joined(matches[max(matches)]) if matches else None


class OpenPoseFinder:
    """Hands in a folder of OpenPose JSON files (see above), read when they are asked for.

    Raises:
        HandError: the folder holds no such files.
    """

    name = "openpose"

    def __init__(self, folder: str | Path) -> None:
        frames: dict[tuple[str, int], Path] = {}
        pictures: dict[tuple[str, int], Path] = {}
        for path in sorted(Path(folder).glob("*_keypoints.json")):
            match = _OPENPOSE.fullmatch(path.name)
            if match:
                frames[match["stem"], int(match["frame"] or 0)] = path
                pictures[path.name.removesuffix("_keypoints.json"), 0] = path
        self._files = {**pictures, **frames}
        if not self._files:
            raise HandError(f"{folder} holds no OpenPose files (*_keypoints.json).")

    def stored(self, frame: FrameName) -> HandCandidates | None:
        """Hands of a frame; None without a file for it.

        Raises:
            HandError: the file is malformed.
        """
        path = self._files.get((PurePath(frame.path).stem, frame.index))
        if path is None:
            return None
        hands = []
        try:
            for person in json.loads(path.read_text(encoding="utf-8"))["people"]:
                for key, side in _OPENPOSE_KEYS.items():
                    values = person.get(key) or []
                    points = np.asarray(values, np.float64).reshape(-1, 3)
                    if len(points) == NUM_JOINTS and (points[:, 2] > 0).sum() >= _MIN_POINTS:
                        hands.append(_from_keypoints(points, side))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise HandError(f"{path} is no OpenPose file ({error!r}).") from None
        return HandCandidates.joined([hand for hand in hands if hand.confidence[0] >= _MIN_MEAN])


def _from_keypoints(points: np.ndarray, side: int) -> HandCandidates:
    points = points.copy()
    points[:, 2] = points[:, 2].clip(0, 1)
    known = points[:, 2] > 0
    points[~known] = 0
    box = keypoint_box(points[known, :2])
    # OpenPose knows the side from the body it grew the hand from.
    confidence = float(points[:, 2].mean())
    return HandCandidates(
        box[None], np.array([confidence]), np.array([side]), keypoints=points[None]
    )


def _hand(hand: dict[str, Any]) -> HandCandidates:
    side = hand.get("side")
    sides = np.array([UNKNOWN if side in (None, "unknown") else _SIDES[side]])
    keypoints = None
    if hand.get("keypoints") is not None:
        keypoints = np.asarray(hand["keypoints"], np.float64).reshape(NUM_JOINTS, -1)
        if keypoints.shape[1] == 2:
            keypoints = np.concatenate((keypoints, np.ones((NUM_JOINTS, 1))), axis=1)
        keypoints = keypoints.reshape(NUM_JOINTS, 3)
    if hand.get("box") is None:
        if keypoints is None:
            raise KeyError("box")
        box = keypoint_box(keypoints[keypoints[:, 2] > 0, :2])
    else:
        box = np.asarray(hand["box"], np.float64).reshape(4)
    return HandCandidates(
        box[None],
        np.array([float(hand.get("confidence", 1.0))]),
        sides,
        keypoints=None if keypoints is None else keypoints[None],
    )
