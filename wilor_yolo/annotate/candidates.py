"""What a hand detector of the ensemble says about one picture, and what such a detector is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from ..errors import HandError
from ..metrics.detection import UNKNOWN
from ..skeleton import LEFT, NUM_JOINTS, RIGHT

__all__ = ["FrameName", "HandCandidates", "HandFinder", "StoredFinder"]


@dataclass(frozen=True)
class HandCandidates:
    """N hands one detector sees in one picture.

    Attributes:
        boxes: (N, 4) xyxy px from the picture's border, as Ultralytics counts.
        confidence: (N,) 0 to 1.
        sides: (N,) LEFT, RIGHT or UNKNOWN.
        side_confidence: (N,) 0 to 1, how sure the side is; `confidence` by default.
        keypoints: (N, 21, 3) x px, y px, confidence 0 to 1 (0: unknown), or None. The middle of
            the first pixel is 0, as in K.
        joints_3d: (N, 21, 3) a guess of the joints in 3D, any origin and scale, x right, y down,
            z forward along the ray through the hand; NaN for hands without, or None.
    """

    boxes: np.ndarray
    confidence: np.ndarray
    sides: np.ndarray | None = None
    side_confidence: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    joints_3d: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        boxes = np.asarray(self.boxes, np.float64).reshape(-1, 4)
        confidence = np.asarray(self.confidence, np.float64).reshape(-1)
        sides = np.full(count, UNKNOWN) if self.sides is None else np.asarray(self.sides, int)
        side_confidence = self.side_confidence
        sure = confidence if side_confidence is None else np.asarray(side_confidence, np.float64)
        if not (len(boxes) == len(confidence) == len(sides) == len(sure)):
            raise HandError(
                f"a detector gave {len(boxes)} boxes, {len(confidence)} scores, {len(sides)} sides "
                f"and {len(sure)} side scores; it must give one of each a hand."
            )
        if not np.isin(sides, (LEFT, RIGHT, UNKNOWN)).all():
            raise HandError(f"a detector gave sides {sorted(set(sides.tolist()))}.")
        keypoints = self.keypoints
        if keypoints is not None:
            keypoints = np.asarray(keypoints, np.float64)
            if keypoints.shape != (count, NUM_JOINTS, 3):
                raise HandError(f"a detector gave keypoints of shape {keypoints.shape}.")
        good = np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        good &= np.isfinite(confidence) & np.isfinite(sure)
        if keypoints is not None:
            good &= np.isfinite(keypoints).all((1, 2))
            keypoints = keypoints[good]
        joints = self.joints_3d
        if joints is not None:
            joints = np.asarray(joints, np.float64)
            if joints.shape != (count, NUM_JOINTS, 3):
                raise HandError(f"a detector gave 3D joints of shape {joints.shape}.")
            joints = joints[good]
        # A detector that throws NaN for one hand does not spoil the others.
        object.__setattr__(self, "boxes", boxes[good])
        object.__setattr__(self, "confidence", np.clip(confidence[good], 0, 1))
        object.__setattr__(self, "sides", sides[good])
        object.__setattr__(self, "side_confidence", np.clip(sure[good], 0, 1))
        object.__setattr__(self, "keypoints", keypoints)
        object.__setattr__(self, "joints_3d", joints)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, chosen: np.ndarray | Sequence[int]) -> HandCandidates:
        """The hands of an index array or mask."""
        index = np.asarray(chosen)
        index = index if index.dtype == bool else index.astype(int)
        sides, sure, keypoints = self.sides, self.side_confidence, self.keypoints
        return HandCandidates(
            self.boxes[index],
            self.confidence[index],
            None if sides is None else sides[index],
            None if sure is None else sure[index],
            None if keypoints is None else keypoints[index],
            None if self.joints_3d is None else self.joints_3d[index],
        )

    @classmethod
    def none(cls) -> HandCandidates:
        """No hands."""
        return cls(np.zeros((0, 4)), np.zeros(0))

    def shifted(self, x: float, y: float) -> HandCandidates:
        """The same hands in a picture of which theirs was the crop with its corner at (x, y) px."""
        keypoints = None if self.keypoints is None else self.keypoints + np.array([x, y, 0.0])
        boxes = self.boxes + np.array([x, y, x, y])
        return replace(self, boxes=boxes, keypoints=keypoints)

    @classmethod
    def joined(cls, parts: Sequence[HandCandidates]) -> HandCandidates:
        """All hands of several results; hands without keypoints get unknown ones if others have."""
        parts = [part for part in parts if len(part)]
        if not parts:
            return cls.none()
        keypoints = None
        if any(part.keypoints is not None for part in parts):
            keypoints = np.concatenate(
                [
                    np.zeros((len(part), NUM_JOINTS, 3))
                    if part.keypoints is None
                    else part.keypoints
                    for part in parts
                ]
            )
        joints = None
        if any(part.joints_3d is not None for part in parts):
            unknown = [np.full((len(part), NUM_JOINTS, 3), np.nan) for part in parts]
            joints = np.concatenate(
                [
                    u if p.joints_3d is None else p.joints_3d
                    for u, p in zip(unknown, parts, strict=True)
                ]
            )
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.confidence for part in parts]),
            np.concatenate([np.asarray(part.sides) for part in parts]),
            np.concatenate([np.asarray(part.side_confidence) for part in parts]),
            keypoints,
            joints,
        )


@dataclass(frozen=True)
class FrameName:
    """Which picture of the job a picture is.

    Attributes:
        video: name of the video, or of the picture (its own video then), unique in the job.
        index: frame number in the video, from 0; 0 for a picture.
        path: the file.
    """

    video: str
    index: int
    path: str


@runtime_checkable
class HandFinder(Protocol):
    """A detector of the ensemble. A new one is a file with a class like this."""

    name: str

    def __call__(self, image: np.ndarray) -> HandCandidates:
        """Hands of a picture (H, W, 3) uint8 BGR."""
        ...


@runtime_checkable
class StoredFinder(Protocol):
    """Detections that were computed elsewhere: found by the picture's name, not its pixels."""

    name: str

    def stored(self, frame: FrameName) -> HandCandidates | None:
        """Hands of a frame, px of the full frame; None when nobody looked at it."""
        ...
