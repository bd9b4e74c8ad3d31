"""WHIM frames (read by :mod:`wilor_yolo.annotate.whim`) as hands for :mod:`wilor_yolo.data`.

The two wings do not know each other, so they meet on this floor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..annotate.whim import WhimHand, read_frame
from ..data.raw_hand import RawHand, ReadReport, sample_key
from ..errors import HandError
from ..skeleton import NUM_JOINTS

__all__ = ["read_whim"]

_PSEUDO_TRUTH = 0.5  # confidence of joints that a fit or a network made up
_INSIDE = 0.8  # least share of the joints in the box, once it is padded by a fifth of its side
_PAD = 0.2


def read_whim(
    root: str | Path,
    report: ReadReport,
    split: str = "train",
    images: str | Path | None = None,
    need_joints: bool = True,
) -> Iterator[RawHand]:
    """All hands of the frames whose picture is there.

    Args:
        root: the folder that holds `train` and `test`.
        report: takes the broken samples; counts frames without a picture.
        split: ``"train"`` or ``"test"``.
        images: folder with `<video>/<frame>.jpg`; beside the labels by default.
        need_joints: a hand whose joints are missing or outside its box is broken; if not, it is a
            box without keypoints, and counted.

    Raises:
        HandError: no labels there.
    """
    folder = Path(root) / split / "anno"
    labels = sorted(folder.glob("*/*.npy"))
    if not labels:
        raise HandError(f"{folder} holds no <video>/<frame>.npy; check root= and split=.")
    for label in labels:
        video, frame = label.parent.name, label.stem
        places = label.parent if images is None else Path(images) / video
        # The set's own script names its pictures <frame>.npy.jpg, its loaders want <frame>.jpg.
        names = [places / f"{frame}.jpg", places / f"{frame}.npy.jpg"]
        picture = next((path for path in names if path.is_file()), None)
        if picture is None:
            report.left_out["frames without a picture"] += 1
            continue
        hands: list[WhimHand] = []
        with report.guard(str(label)):
            hands = read_frame(label)
        for i, hand in enumerate(hands):
            raw = None
            key = sample_key("whim", video, frame, i)
            with report.guard(f"{label}: sample {key}"):
                joints = _joints_fault(hand)
                if joints is not None and need_joints:
                    raise HandError(joints)
                if joints is not None:
                    report.left_out["joints that are missing or outside their box"] += 1
                    hand = replace(hand, joints_3d=None, keypoints_2d=None)
                raw = _hand(hand, key, label, picture, len(hands))
            if raw is not None:
                yield raw


def _joints_fault(hand: WhimHand) -> str | None:
    if hand.keypoints_2d is None or np.isnan(hand.keypoints_2d).all():
        return "it has no 2D joints, nor 3D ones with a camera"
    points = hand.keypoints_2d.astype(np.float64)
    pad = _PAD * float((hand.bbox[2:] - hand.bbox[:2]).max())
    inside = ((points > hand.bbox[:2] - pad) & (points < hand.bbox[2:] + pad)).all(axis=1)
    if inside.mean() >= _INSIDE:
        return None
    return (
        f"{(~inside).sum()} of 21 joints project outside the box; "
        f"is the {'right' if hand.is_right else 'left'} hand's 3D mirrored?"
    )


def _hand(hand: WhimHand, key: str, label: Path, picture: Path, shown: int) -> RawHand:
    keypoints = np.zeros((NUM_JOINTS, 3))
    if hand.keypoints_2d is not None:
        keypoints[:, :2], keypoints[:, 2] = hand.keypoints_2d, 1
    known = hand.joints_3d is not None and hand.trans is not None and hand.K is not None
    joints = hand.joints_3d + hand.trans if known else None  # type: ignore[operator]
    return RawHand(
        key=key,
        source="whim",
        label=label,
        picture=picture,
        is_right=hand.is_right,
        keypoints_2d=keypoints,
        joints_3d=None if joints is None else joints.astype(np.float64),
        joints_confidence=_PSEUDO_TRUTH,
        intrinsics=None if joints is None or hand.K is None else hand.K.astype(np.float64),
        box=hand.bbox.astype(np.float64),
        hands_shown=shown,
    )
