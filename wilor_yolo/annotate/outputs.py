"""What the engine writes: YOLO-pose labels, WHIM frames, shards for the reconstructor, manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..detect.label_files import label_line
from ..detect.sides import UNKNOWN_SIDE
from ..errors import HandError
from ..geometry import HALF_PIXEL
from ..metrics.detection import UNKNOWN
from ..samples import HandSample
from ..shards import ShardWriter
from ..skeleton import RIGHT, SIDE_NAMES
from ..whole_files import write_bytes, write_text
from .candidates import FrameName
from .fitted import ACCEPTED, FittedHands
from .fusion import FusedHand
from .whim import WHIM_DTYPE, write_frame

__all__ = [
    "FITTED_3D",
    "AnnotatedFrame",
    "DatasetFolder",
    "HandView",
    "cut_view",
    "label_lines",
    "manifest_row",
]

_CONTEXT, _LARGEST = 2.2, 256  # side of a shard's picture in hand sizes, and at most in px
_KNOWN = 0.3  # confidence from which a landmark goes into a label
_JPEG = 92
FITTED_3D = 0.3  # keypoints_3d_confidence of a fit to one view


@dataclass(frozen=True)
class HandView:
    """A context crop: `image` (h, w, 3) BGR, and the map of full-frame pixels to its own,
    ``own = (full - corner + 0.5) * ratio - 0.5`` with `corner` (2,) and `ratio` (2,)."""

    image: np.ndarray = field(repr=False)
    corner: np.ndarray
    ratio: np.ndarray

    def move(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) of the full frame in the crop."""
        return (points - self.corner + 0.5) * self.ratio - 0.5

    def intrinsics(self, full: np.ndarray) -> np.ndarray:
        """K of the crop."""
        scale = np.diag([*self.ratio, 1.0])
        scale[:2, 2] = (0.5 - self.corner) * self.ratio - 0.5
        return (scale @ full).astype(np.float32)


@dataclass
class AnnotatedFrame:
    """A frame and its hands.

    Attributes:
        name: which frame.
        time: seconds; scene: its number in the chunk.
        fps, length: of its video, as in :class:`.frames.SampledFrame`.
        size: (width, height) px.
        K: (3, 3) assumed intrinsics.
        stem: of its files below images/, labels/ and WHIM's anno/.
        part: "train" or "test".
        hands: those believed.
        views: a context crop of each.
        unsure: how many were seen but not believed; then the labels are not complete.
        image: JPEG bytes.
    """

    name: FrameName
    time: float
    scene: int
    fps: float
    length: int | None
    size: tuple[int, int]
    K: np.ndarray
    stem: str
    part: str
    hands: list[FusedHand]
    views: list[HandView]
    unsure: int
    image: bytes = field(repr=False)


def cut_view(image: np.ndarray, box: np.ndarray) -> HandView:
    """The square around a hand, at the most `_LARGEST` px, black outside the picture."""
    side = max(int(np.ceil(_CONTEXT * float((box[2:] - box[:2]).max()))), 2)
    corner = np.floor((box[:2] + box[2:]) / 2 - side / 2).astype(int)
    height, width = image.shape[:2]
    left, top = np.maximum(corner, 0)
    right, bottom = np.minimum(corner + side, (width, height))
    square = np.zeros((side, side, 3), np.uint8)
    if right > left and bottom > top:
        x, y = left - corner[0], top - corner[1]
        square[y : y + bottom - top, x : x + right - left] = image[top:bottom, left:right]
    if side > _LARGEST:
        shrunk = cv2.resize(square, (_LARGEST, _LARGEST), interpolation=cv2.INTER_AREA)
        square = np.asarray(shrunk, np.uint8)
    ratio = len(square) / side
    return HandView(square, corner.astype(np.float64), np.array([ratio, ratio]))


def label_lines(hands: list[FusedHand], fit_status: list[str | None], size: tuple[int, int]) -> str:
    """YOLO-pose label of a picture (see `datasets/hands.yaml`).

    Landmarks go in when the fit was accepted or none was tried; landmarks no hand model can reach
    are likely wrong, and leave the hand with its box alone.
    """
    lines = []
    for hand, status in zip(hands, fit_status, strict=True):
        low = np.clip(hand.box[:2], 0, size)
        high = np.clip(hand.box[2:], 0, size)
        if (high - low).min() < 1:
            continue
        points = None
        if hand.keypoints is not None and status in (None, ACCEPTED, "landmarks"):
            known = hand.keypoints[:, 2] >= _KNOWN
            # Landmarks count from the middle of the first pixel, boxes and labels from its border.
            points = np.column_stack((hand.keypoints[:, :2] + HALF_PIXEL, 2 * known))
        side = UNKNOWN_SIDE if hand.side == UNKNOWN else hand.side
        lines.append(label_line(side, hand.box, points, size) + "\n")
    return "".join(lines)


def manifest_row(
    frame: AnnotatedFrame, fits: list[tuple[FittedHands, int] | None], version: str
) -> dict[str, Any]:
    """A line of the manifest."""
    hands = []
    for hand, fit in zip(frame.hands, fits, strict=True):
        entry: dict[str, Any] = {
            "box": [round(float(v), 2) for v in hand.box],
            "side": SIDE_NAMES.get(hand.side, "unknown"),
            "side_margin": round(hand.side_margin, 3),
            "confidence": round(hand.confidence, 4),
            "agreement": None if np.isnan(hand.agreement) else round(hand.agreement, 4),
            "votes": {name: round(score, 4) for name, score in hand.votes.items()},
            "fit": None,
        }
        if fit is not None:
            fitted, i = fit
            entry["fit"] = {
                "status": fitted.status[i],
                "residual": _finite(fitted.residual[i]),
                "angle_violation": _finite(fitted.angle_violation[i]),
                "prior_energy": _finite(fitted.prior_energy[i]),
            }
        hands.append(entry)
    complete = frame.unsure == 0
    return {
        "source": frame.name.path,
        "video": frame.name.video,
        "frame": frame.name.index,
        "time": round(frame.time, 4),
        "scene": frame.scene,
        "fps": round(frame.fps, 4),
        "length": frame.length,
        "part": frame.part,
        "width": frame.size[0],
        "height": frame.size[1],
        "focal": round(float(frame.K[0, 0]), 3),
        "image": f"images/{frame.part}/{frame.stem}.jpg" if complete else None,
        "unsure": frame.unsure,
        "hands": hands,
        "version": version,
    }


class DatasetFolder:
    """The folder of a job. Every file gets its name when it is complete.

    Args:
        out: made when missing.
        source: name of the data set in the shards, by which mixing weights go.
    """

    def __init__(self, out: str | Path, source: str) -> None:
        self.out, self.source = Path(out), source

    def write_chunk(
        self,
        chunk: str,
        frames: list[AnnotatedFrame],
        fits: list[list[tuple[FittedHands, int] | None]],
        version: str,
    ) -> None:
        """Write a chunk. Its manifest comes last: a chunk without one was not finished, and doing
        it again writes the same files."""
        for torn in (self.out / "shards").glob(f"*/{chunk}-*.tmp"):
            torn.unlink(missing_ok=True)  # of a run that was killed
        rows = []
        for frame, frame_fits in zip(frames, fits, strict=True):
            if frame.unsure == 0:
                base = Path(frame.part, frame.stem)
                write_bytes(self.out / "images" / f"{base}.jpg", frame.image)
                status = [None if fit is None else fit[0].status[fit[1]] for fit in frame_fits]
                text = label_lines(frame.hands, status, frame.size)
                write_text(self.out / "labels" / f"{base}.txt", text)
            self._write_whim(frame, frame_fits)
            rows.append(manifest_row(frame, frame_fits, version))
        for part in ("train", "test"):
            self._write_shard(part, chunk, frames, fits)
        lines = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
        write_text(self.out / "parts" / f"{chunk}.jsonl", lines)

    def _write_whim(
        self, frame: AnnotatedFrame, fits: list[tuple[FittedHands, int] | None]
    ) -> None:
        good = [
            (hand, *fit)
            for hand, fit in zip(frame.hands, fits, strict=True)
            if fit is not None and fit[0].status[fit[1]] == ACCEPTED
        ]
        if not good:
            return
        entries = np.zeros(len(good), WHIM_DTYPE)
        for entry, (hand, fitted, i) in zip(entries, good, strict=True):
            entry["bbox"], entry["side"] = hand.box, hand.side == RIGHT
            entry["confidence"], entry["residual"] = hand.confidence, fitted.residual[i]
            entry["joints_3d"], entry["vertices"] = fitted.joints[i], fitted.vertices[i]
            entry["joints_2d"], entry["trans"] = fitted.keypoints_2d[i], fitted.cam_t[i]
            entry["K"] = frame.K
        write_frame(self.out / "WHIM" / frame.part / "anno" / f"{frame.stem}.npy", entries)

    def _write_shard(
        self,
        part: str,
        chunk: str,
        frames: list[AnnotatedFrame],
        fits: list[list[tuple[FittedHands, int] | None]],
    ) -> None:
        samples = [
            sample
            for frame, frame_fits in zip(frames, fits, strict=True)
            if frame.part == part
            for number, (hand, view, fit) in enumerate(
                zip(frame.hands, frame.views, frame_fits, strict=True)
            )
            if (sample := self._sample(frame, number, hand, view, fit)) is not None
        ]
        if not samples:
            return
        with ShardWriter(self.out / "shards" / part, chunk, per_shard=len(samples)) as writer:
            for sample in samples:
                writer.add(sample)

    def _sample(
        self,
        frame: AnnotatedFrame,
        number: int,
        hand: FusedHand,
        view: HandView,
        fit: tuple[FittedHands, int] | None,
    ) -> HandSample | None:
        """A training sample of a hand with an accepted fit.

        The fit's 3D comes from a single view: its joints are given low confidence, so that their
        losses count little and validation leaves joints and parameters out. The losses of
        vertices, orientation, pose and shape know no confidence and count in full.
        """
        if fit is None or fit[0].status[fit[1]] != ACCEPTED or hand.keypoints is None:
            return None
        fitted, i = fit
        keypoints = hand.keypoints.copy()
        keypoints[:, :2] = view.move(keypoints[:, :2])
        keypoints[keypoints[:, 2] == 0] = 0
        box = np.concatenate((view.move(hand.box[:2]), view.move(hand.box[2:])))
        return HandSample(
            image=view.image,
            is_right=hand.side == RIGHT,
            bbox_xyxy=box,
            keypoints_2d=keypoints,
            source=self.source,
            key=f"{frame.stem.replace('/', '-')}-{number}",
            keypoints_3d=fitted.joints[i] + fitted.cam_t[i],
            keypoints_3d_confidence=FITTED_3D,
            K=view.intrinsics(frame.K),
            global_orient=fitted.global_orient[i],
            hand_pose=fitted.hand_pose[i],
            betas=fitted.betas[i],
            cam_t=fitted.cam_t_right[i],
        )


def encode_jpeg(image: np.ndarray) -> bytes:
    """JPEG bytes of a BGR picture.

    Raises:
        HandError: OpenCV cannot encode it.
    """
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG])
    if not done:
        raise HandError("OpenCV could not encode a picture as JPEG.")
    return data.tobytes()


def _finite(value: float) -> float | None:
    return round(float(value), 7) if np.isfinite(value) else None
