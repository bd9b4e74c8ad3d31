"""Ultralytics' hand-keypoints -> labelled pictures: keypoints in our order, sides unknown.

Layout: `images/{train,val}` and `labels/{train,val}` with YOLO-pose lines of one class, hand, whose
21 keypoints are in our order (MediaPipe found them). The set's own YAML has a `flip_idx` that swaps
fingers, though mirroring a hand keeps them; it is not taken over. Keypoints outside the picture
become unknown, boxes are cut off at its border.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..detect.sides import UNKNOWN_SIDE
from ..errors import HandError
from ..images import picture_size
from .raw_hand import ReadReport, sample_key
from .yolo_labels import label_path, read_labels
from .yolo_set import LabelledPicture

__all__ = ["read_ultralytics_hands"]

_HAND = 0  # their one class
_SUFFIXES = {".jpg", ".jpeg", ".png"}


def read_ultralytics_hands(
    root: str | Path, report: ReadReport, split: str = "train"
) -> Iterator[LabelledPicture]:
    """All pictures of a split.

    Args:
        root: the folder that holds `images` and `labels`.
        report: takes the broken pictures.
        split: ``"train"`` or ``"val"``.

    Raises:
        HandError: no pictures there.
    """
    folder = Path(root) / "images" / split
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in _SUFFIXES)
    if not files:
        raise HandError(f"{folder} holds no pictures; check root= and split=.")
    for file in files:
        label, picture = label_path(file), None
        with report.guard(str(label)):
            if not label.is_file():
                raise HandError("there is no such file")
            labels = read_labels(label, picture_size(file), {_HAND: UNKNOWN_SIDE})
            stem = sample_key("ultralytics", split, file.stem)
            picture = LabelledPicture(file, stem, "hand_keypoints", labels)
        if picture is not None:
            yield picture
