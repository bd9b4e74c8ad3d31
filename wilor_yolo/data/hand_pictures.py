"""Single labelled hands -> whole pictures with all their hands, as a detector trains on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from ..errors import HandError
from ..geometry import HALF_PIXEL
from ..skeleton import LEFT, RIGHT
from .raw_hand import LeftOut, RawHand, ReadReport, checked_labels
from .yolo_labels import HandLabel
from .yolo_set import LabelledPicture

__all__ = ["pictures_of_hands"]


def pictures_of_hands(hands: Iterable[RawHand], report: ReadReport) -> Iterator[LabelledPicture]:
    """Pictures with the hands that come one after the other for the same file.

    A picture with a broken hand, or with fewer hands than its set says it shows, is left out: a
    hand without a label would be taught as background.

    Args:
        hands: from a reader.
        report: takes the broken pictures.
    """
    for file, group in groupby(hands, key=lambda hand: hand.picture):
        own = list(group)
        picture = None
        with report.guard(own[0].name):
            if not isinstance(file, Path):
                raise HandError("its pictures are crops inside tars; use to=reconstructor")
            shown = own[0].hands_shown
            if shown is not None and len(own) < shown:
                raise LeftOut("pictures with a hand that has no label")
            picture = LabelledPicture(
                file, own[0].key, own[0].source, tuple(_label(hand) for hand in own), own[0].size
            )
        if picture is not None:
            yield picture


def _label(hand: RawHand) -> HandLabel:
    try:
        keypoints, box = checked_labels(hand)
    except HandError as error:
        raise HandError(f"{hand.name}: {error}") from None
    # Joints that a camera projects count from the middle of the first pixel, as K does, and so
    # does the box around them; labels count from its border.
    half = 0.0 if hand.intrinsics is None else HALF_PIXEL
    known = keypoints[:, 2] > 0
    seen = np.where(known, 2.0, 0.0)  # whether a joint is hidden these sets do not say
    return HandLabel(
        box if hand.box is not None else box + half,
        RIGHT if hand.is_right else LEFT,
        np.column_stack((keypoints[:, :2] + half, seen)) if known.any() else None,
    )
