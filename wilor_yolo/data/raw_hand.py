"""`RawHand`: one labelled hand of somebody's data set in our conventions, before its picture is
read; and how it becomes a `HandSample`. `ReadReport` names what could not be read."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ..errors import HandError
from ..geometry import project
from ..images import read_image
from ..records import keypoint_box
from ..samples import HandSample
from .checks import check_joints, check_projection
from .window import Window

__all__ = [
    "CutOptions",
    "LeftOut",
    "RawHand",
    "ReadReport",
    "checked_labels",
    "sample_key",
    "to_sample",
]

_LEAST_SIDE = 16.0  # px; a smaller hand shows nothing
_NUM_JOINTS = 21
_LONGEST_KEY = 90


class LeftOut(Exception):
    """A sound hand that is of no use, with the reason as a plural noun ("hands too small")."""


@dataclass(frozen=True)
class RawHand:
    """A hand as its data set labels it, in our order, units, axes and side convention.

    Attributes:
        key: unique in the set, without dots and slashes (see :func:`sample_key`).
        source: name of the set.
        label: the file the labels come from.
        picture: path of the picture, or its encoded bytes.
        is_right: the person's side.
        keypoints_2d: (21, 3) px and confidence 0..1, or None: projected from `joints_3d`.
        joints_3d: (21, 3) metres, camera frame (x right, y down, z forward), or None. Without
            `intrinsics` their place does not matter.
        intrinsics: (3, 3) px, or None.
        joints_confidence: of `joints_3d`; below 1 for those that another network or a fit made up.
        pose: (48,) axis-angle, flat hand, camera frame, **right-hand view**, or None.
        betas: (10,), given with `pose`.
        box: (4,) xyxy px, tight, or None: the padded rectangle of the known keypoints.
        size: (width, height) the picture must have, if the set says so.
        hands_shown: how many hands the set says the picture shows, if it does.
    """

    key: str
    source: str
    label: Path
    picture: Path | bytes
    is_right: bool
    keypoints_2d: np.ndarray | None = None
    joints_3d: np.ndarray | None = None
    intrinsics: np.ndarray | None = None
    joints_confidence: float = 1.0
    pose: np.ndarray | None = None
    betas: np.ndarray | None = None
    box: np.ndarray | None = None
    size: tuple[int, int] | None = None
    hands_shown: int | None = None

    @property
    def name(self) -> str:
        """Sample and file, for messages."""
        return f"{self.label}: sample {self.key}"


@dataclass
class ReadReport:
    """What was read, and what not.

    Attributes:
        strict: raise at the first fault instead of going on.
        hands: by source.
        pictures: written, where whole pictures are.
        left_out: sound samples nobody needs, by reason.
        faults: the first messages about broken samples; `fault_count` counts them all.
        on_fault: called with each message.
    """

    strict: bool = False
    hands: Counter[str] = field(default_factory=Counter)
    pictures: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0
    on_fault: Callable[[str], None] | None = None

    @contextmanager
    def guard(self, where: str) -> Iterator[None]:
        """Around the reading of one sample: a broken one is named and skipped.

        Raises:
            HandError: a broken sample, when strict.
        """
        try:
            yield
        except LeftOut as reason:
            self.left_out[str(reason)] += 1
        except HandError as error:
            message = str(error)
            self.fault(message if message.startswith(where) else f"{where}: {message}")
        except KeyError as error:
            self.fault(f"{where}: the field {error.args[0]!r} is missing")
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            self.fault(f"{where}: the labels have another layout ({error})")

    def fault(self, message: str) -> None:
        """Note a broken sample.

        Raises:
            HandError: when strict.
        """
        if self.strict:
            raise HandError(message)
        self.fault_count += 1
        if len(self.faults) < 20:
            self.faults.append(message)
        if self.on_fault is not None:
            self.on_fault(message)

    def __str__(self) -> str:
        lines = [f"{self.pictures:8d} pictures"] if self.pictures else []
        lines += [f"{count:8d} {source}" for source, count in sorted(self.hands.items())]
        lines += [
            f"{count:8d} left out: {why}" for why, count in sorted(self.left_out.items()) if count
        ]
        if self.fault_count:
            lines.append(f"{self.fault_count:8d} broken samples skipped")
        return "\n".join(lines) or "no hands"


@dataclass(frozen=True)
class CutOptions:
    """The context crop that is stored.

    Attributes:
        context: its side over the longer side of the hand box. 3 covers what the paper's
            augmentation can ask for at the released crop scale; cut off at the picture's border.
        largest: px; larger crops are shrunk to this side.
    """

    context: float = 3.0
    largest: int = 384


def sample_key(*parts: object) -> str:
    """A shard key of any parts: no dots, no slashes, no longer than a tar member's name may be."""
    text = "_".join(str(part) for part in parts)
    text = "".join(c if c.isalnum() or c in "-_" else "_" for c in text)
    if len(text) > _LONGEST_KEY:
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        text = f"{digest}_{text[-(_LONGEST_KEY - 11) :]}"
    return text


def to_sample(hand: RawHand, cut: CutOptions | None = None) -> HandSample:
    """Check the labels, read the picture, cut the context crop and carry the labels into it.

    Raises:
        LeftOut: the hand is too small or outside its picture.
        HandError: labels that are not finite or look like no hand, or a bad picture; the message
            names sample and file.
    """
    try:
        return _to_sample(hand, cut or CutOptions())
    except HandError as error:
        message = str(error)
        raise HandError(message if hand.name in message else f"{hand.name}: {message}") from None


def checked_labels(hand: RawHand) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (21, 3), px and confidence, and box (4,) xyxy px of a hand that looks like one.

    Raises:
        LeftOut: it has neither box nor keypoints.
        HandError: labels that are not finite or look like no hand.
    """
    joints = hand.joints_3d
    if joints is not None:
        check_joints(joints)
    keypoints = hand.keypoints_2d
    if keypoints is None:
        if joints is None or hand.intrinsics is None:
            raise HandError("neither 2D keypoints nor 3D joints with a camera")
        if (joints[:, 2] <= 0).any():
            raise HandError("3D joints lie behind the camera; are the axes OpenGL's?")
        keypoints = np.ones((_NUM_JOINTS, 3))
        keypoints[:, :2] = project(joints, hand.intrinsics)
    elif not np.isfinite(keypoints).all():
        raise HandError("keypoints_2d holds NaN or infinity")
    elif joints is not None and hand.intrinsics is not None:
        check_projection(joints, hand.intrinsics, keypoints)
    known = keypoints[:, 2] > 0
    if hand.box is not None:
        return keypoints, hand.box
    if not known.any():
        raise LeftOut("hands without a box or keypoints")
    return keypoints, keypoint_box(keypoints[known, :2])


def _to_sample(hand: RawHand, cut: CutOptions) -> HandSample:
    joints = hand.joints_3d
    keypoints, box = checked_labels(hand)
    known = keypoints[:, 2] > 0
    image = _picture(hand)
    height, width = image.shape[:2]
    if hand.size is not None and hand.size != (width, height):
        raise HandError(f"the picture has {width}x{height} px, the labels say {hand.size}")
    side = float(max(box[2] - box[0], box[3] - box[1]))
    if side < _LEAST_SIDE:
        raise LeftOut(f"hands smaller than {_LEAST_SIDE:.0f} px")
    center = (box[:2] + box[2:]) / 2
    if not (0 <= center[0] < width and 0 <= center[1] < height):
        raise LeftOut("hands outside their picture")
    window = Window.around(center, cut.context * side, width, height)
    context, ratios = window.take(image, cut.largest)
    moved = keypoints.copy()
    moved[:, :2] = window.move(keypoints[:, :2], ratios)
    moved[~known] = 0
    return HandSample(
        image=context,
        is_right=hand.is_right,
        bbox_xyxy=window.move(box.reshape(2, 2), ratios).reshape(4),
        keypoints_2d=moved,
        source=hand.source,
        key=hand.key,
        keypoints_3d=joints,
        keypoints_3d_confidence=hand.joints_confidence,
        K=None if hand.intrinsics is None else window.move_camera(hand.intrinsics, ratios),
        global_orient=None if hand.pose is None else hand.pose[:3],
        hand_pose=None if hand.pose is None else hand.pose[3:],
        betas=None if hand.pose is None else hand.betas,
    )


def _picture(hand: RawHand) -> np.ndarray:
    if isinstance(hand.picture, bytes):
        buffer = np.frombuffer(hand.picture, np.uint8)
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR) if buffer.size else None
        if image is None:
            raise HandError("the picture is damaged")
        return image
    return _read_cached(hand.picture)


@functools.lru_cache(maxsize=1)  # the hands of one picture come one after the other
def _read_cached(path: Path) -> np.ndarray:
    return read_image(path)
