"""Annotated pictures on disk: a folder with `labels.jsonl`, one JSON object a picture.

Keys: `file`, `source`, `width`, `height`; optional `boxes_xyxy` (hands boxed by people, px, no
side), `boxes_complete` (false: other hands have no box), `mediapipe` (hands found by an annotator
network: `side`, `score`, 21 `keypoints_px`, optional 21 `world_m`), and for sets with true joints
`joints_3d_m` (21, 3), `K` (3, 3) and `side`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import HandError
from .geometry import project
from .skeleton import NUM_JOINTS, SIDE_NAMES
from .text_files import read_text

__all__ = [
    "AnnotatedHand",
    "PictureRecord",
    "keypoint_box",
    "read_records",
    "require_one_of_a_name",
    "train_and_val",
]

_SIDES = {name: side for side, name in SIDE_NAMES.items()}
_PAD = 0.10


@dataclass(frozen=True)
class AnnotatedHand:
    """A hand with joints: `side`, `keypoints` (21, 2) px, `score` (1 when measured).

    `guessed_3d` (21, 3): an annotator's guess in metres, axes of the camera, any origin, or None.
    """

    side: int
    keypoints: np.ndarray
    score: float = 1.0
    guessed_3d: np.ndarray | None = None

    @property
    def box(self) -> np.ndarray:
        """Rectangle (4,) xyxy px of the keypoints, padded."""
        return keypoint_box(self.keypoints)


@dataclass(frozen=True)
class PictureRecord:
    """One picture and what is known about its hands.

    Attributes:
        file: path of the picture.
        source: name of the data set it comes from.
        width, height: px.
        boxes: (N, 4) xyxy px drawn by people, or None when nobody did.
        boxes_complete: whether every hand has a box.
        found: hands an annotator network found, or None when none was asked.
        true_hand: the hand with measured joints, for sets that have them.
        joints_3d: (21, 3) of `true_hand`, metres in the camera frame of `intrinsics` (3, 3).
    """

    file: Path
    source: str
    width: int
    height: int
    boxes: np.ndarray | None = None
    boxes_complete: bool = False
    found: tuple[AnnotatedHand, ...] | None = None
    true_hand: AnnotatedHand | None = None
    joints_3d: np.ndarray | None = None
    intrinsics: np.ndarray | None = None


def keypoint_box(keypoints: np.ndarray) -> np.ndarray:
    """Box (4,) xyxy px around keypoints (K, 2): their rectangle and 10 % of its larger side."""
    low, high = keypoints.min(0), keypoints.max(0)
    pad = _PAD * (high - low).max()
    return np.concatenate((low - pad, high + pad))


def read_records(folder: str | Path, sources: Iterable[str] | None = None) -> list[PictureRecord]:
    """Read `labels.jsonl` of `folder`, or the records of these sources in it.

    Raises:
        HandError: the file is missing, or a line does not have the layout above.
    """
    path = Path(folder) / "labels.jsonl"
    if not path.is_file():
        raise HandError(f"no labels.jsonl in {folder}; give a folder that holds one")
    wanted = None if sources is None else set(sources)
    records = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            records.append(_record(json.loads(line), path.parent))
        except (KeyError, TypeError, ValueError) as error:
            raise HandError(f"{path}:{number}: not a picture record ({error!r})") from error
    return [record for record in records if wanted is None or record.source in wanted]


def require_one_of_a_name(records: Iterable[PictureRecord]) -> None:
    """Check that no two pictures have one file name, which what is made of them is named by.

    Raises:
        HandError: two have (folder and ending do not count); the message names them.
    """
    seen: dict[str, Path] = {}
    for record in records:
        other = seen.setdefault(record.file.stem, record.file)
        if other != record.file:
            raise HandError(f"{other} and {record.file} have one name; rename one of them.")


def train_and_val(
    records: Iterable[PictureRecord], val_share: float
) -> dict[str, list[PictureRecord]]:
    """The parts "train" and "val", source by source.

    The last `val_share` (0 to 1) of each source's pictures in file order, rounded down, are for
    validation: neighbours are near-copies of each other, so a random split would measure memory.
    """
    by_source: dict[str, list[PictureRecord]] = {}
    for record in records:
        by_source.setdefault(record.source, []).append(record)
    parts: dict[str, list[PictureRecord]] = {"train": [], "val": []}
    for of_one in by_source.values():
        first_val = len(of_one) - int(len(of_one) * val_share + 1e-9)
        parts["train"] += of_one[:first_val]
        parts["val"] += of_one[first_val:]
    return parts


def _record(row: dict[str, Any], root: Path) -> PictureRecord:
    boxes, found, joints = (row.get(key) for key in ("boxes_xyxy", "mediapipe", "joints_3d_m"))
    record = {
        "file": root / row["file"],
        "source": str(row["source"]),
        "width": int(row["width"]),
        "height": int(row["height"]),
        "boxes_complete": bool(row.get("boxes_complete")),
    }
    if boxes is not None:
        record["boxes"] = np.asarray(boxes, np.float64).reshape(-1, 4)
    if found is not None:
        record["found"] = tuple(_found(hand) for hand in found)
    if joints is not None:
        joints = np.asarray(joints, np.float64).reshape(NUM_JOINTS, 3)
        intrinsics = np.asarray(row["K"], np.float64).reshape(3, 3)
        record["joints_3d"], record["intrinsics"] = joints, intrinsics
        record["true_hand"] = AnnotatedHand(_SIDES[row["side"]], project(joints, intrinsics))
    return PictureRecord(**record)


def _found(hand: dict[str, Any]) -> AnnotatedHand:
    guess = hand.get("world_m")
    return AnnotatedHand(
        side=_SIDES[hand["side"]],
        keypoints=_points(hand["keypoints_px"]),
        score=float(hand["score"]),
        guessed_3d=None if not guess else np.asarray(guess, np.float64).reshape(NUM_JOINTS, 3),
    )


def _points(values: list[Any]) -> np.ndarray:
    return np.asarray(values, np.float64).reshape(NUM_JOINTS, 2)
