"""Sides of labels that a detector contradicts: what coordinates alone cannot show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .peers import Peer

__all__ = ["SideReport", "compare_sides"]

_SURE = 0.6  # score from which a detector's side is worth a look
_SAME_HAND = 0.5  # box IoU


@dataclass
class SideReport:
    """How many labelled hands the detector found, and those it calls by the other side."""

    compared: int = 0
    suspects: list[str] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)


def compare_sides(
    pictures: Sequence[Path],
    sides: Mapping[int, int],
    peer: Peer,
    progress: Callable[[int, int], None] | None = None,
) -> SideReport:
    """Ask a detector for the sides of the labelled hands of pictures that are sound.

    Args:
        pictures: of a YOLO-pose data set, without bad lines.
        sides: of the classes in the label files.
        peer: the detector.
        progress: called with (pictures done, pictures in all).
    """
    from ..data.yolo_labels import label_path, read_labels
    from ..images import read_image
    from ..metrics.detection import at_least, box_iou
    from ..skeleton import SIDE_NAMES

    report = SideReport()
    for done, file in enumerate(pictures, start=1):
        image = read_image(file)
        labels = read_labels(label_path(file), (image.shape[1], image.shape[0]), sides)
        known = [(n, hand) for n, hand in enumerate(labels, start=1) if hand.side in SIDE_NAMES]
        if known:
            found = at_least(peer.find(file, image), _SURE)
            overlap = box_iou(np.array([hand.box for _, hand in known]), found.boxes)
            for (number, hand), row in zip(known, overlap, strict=True):
                best = int(row.argmax()) if row.size else -1
                if best < 0 or row[best] < _SAME_HAND or found.sides[best] not in SIDE_NAMES:
                    continue
                report.compared += 1
                if found.sides[best] != hand.side:
                    other = SIDE_NAMES[int(found.sides[best])]
                    report.suspects.append(
                        f"{label_path(file)}: hand {number} is labelled {SIDE_NAMES[hand.side]}, "
                        f"{peer.name} says {other}"
                    )
                    if file not in report.pictures[-1:]:
                        report.pictures.append(file)
        if progress is not None:
            progress(done, len(pictures))
    return report
