"""Read a whole YOLO-pose data set of hands and say what is wrong with it, and where."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..detect.dataset import check_hand_data
from ..detect.label_files import label_fault
from ..detect.sides import UNKNOWN_SIDE
from ..errors import HandError
from ..images import read_image
from ..metrics.detection import box_iou
from ..text_files import read_text
from ..yaml_files import read_yaml
from .yolo_labels import HandLabel, label_path, parse_label
from .yolo_set import picture_files, sides_of_classes

__all__ = ["SetReport", "check_yolo_set"]

_SAME_HAND = 0.9  # IoU from which two boxes of a picture are one hand's
_OUTSIDE = 0.25  # share of the larger box side by which a keypoint may leave its box
_MOST_OUTSIDE = 0.5  # share of the known keypoints that may lie further out


@dataclass
class SetReport:
    """What was counted, and what is wrong.

    Attributes:
        sides: of the classes in the label files.
        lines: counts, a line a part.
        faults: a line each, with the file and the kind.
        kinds: how many faults of each kind.
        pictures: all of them.
        bad: those with a fault, to be looked at.
    """

    sides: dict[int, int]
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    pictures: list[Path] = field(default_factory=list)
    bad: list[Path] = field(default_factory=list)

    def fault(self, kind: str, where: str, message: str, picture: Path | None = None) -> None:
        """Note one."""
        self.kinds[kind] += 1
        self.faults.append(f"{where}: {message}")
        if picture is not None and (not self.bad or self.bad[-1] != picture):
            self.bad.append(picture)


def check_yolo_set(data_yaml: str | Path) -> SetReport:
    """Check a data YAML, every picture of its parts and every line of their label files.

    Raises:
        HandError: the YAML cannot be read or does not describe hands.
    """
    path = Path(data_yaml)
    data = read_yaml(path)
    check_hand_data({**data, "yaml_file": str(path)})
    report, seen = SetReport(sides_of_classes(data)), dict[bytes, Path]()
    known: dict[str, list[Path]] = {}
    labels: set[Path] = set()
    for part in ("train", "val", "test"):
        try:
            files = picture_files(path, [part]).get(part)
        except HandError as error:
            report.fault("missing", str(path), str(error))
            continue
        if files is None:
            continue
        if not files:
            report.fault("missing", str(path), f"{part} holds no pictures")
        if files and files == known.get("train"):
            report.lines.append(f"{part:6s} the pictures of train; there is no part of its own")
            continue
        known[part] = files
        report.pictures += files
        labels |= _check_part(part, files, seen, report)
    # Lists of several parts may share a folder of labels: what is left over is seen at the end.
    for folder in sorted({label.parent for label in labels}):
        for orphan in sorted(set(folder.glob("*.txt")) - labels):
            report.fault("labels without a picture", str(orphan), "there is no such picture")
    return report


def _check_part(
    part: str, files: list[Path], seen: dict[bytes, Path], report: SetReport
) -> set[Path]:
    """Check the pictures of a part; the label files that belong to them."""
    sides: Counter[int] = Counter()
    posed = without = empty = 0
    expected = set()
    for file in files:
        label = label_path(file)
        expected.add(label)
        without += not label.is_file()
        labels = _check_picture(file, label, seen, report)
        empty += label.is_file() and not labels
        sides.update(hand.side for hand in labels)
        posed += sum(hand.keypoints is not None for hand in labels)
    report.lines.append(
        f"{part:6s} {len(files):6d} pictures {sides[0]:7d} left {sides[1]:7d} right "
        f"{sides[UNKNOWN_SIDE]:7d} of unknown side, {posed} with keypoints, "
        f"{empty} without hands, {without} without label file"
    )
    return expected


def _check_picture(
    file: Path, label: Path, seen: dict[bytes, Path], report: SetReport
) -> list[HandLabel]:
    """Check one picture and its labels; the sound hands."""
    try:
        height, width = read_image(file).shape[:2]
    except HandError as error:
        report.fault("torn pictures", str(file), str(error), file)
        return []
    digest = hashlib.sha256(file.read_bytes()).digest()
    if digest in seen:
        report.fault("pictures twice", str(file), f"the same picture as {seen[digest]}", file)
    seen.setdefault(digest, file)
    hands = []
    try:
        lines = read_text(label).splitlines() if label.is_file() else []
    except HandError as error:
        report.fault("bad lines", str(label), str(error), file)
        return []
    for number, line in enumerate(lines, start=1):
        values = line.split()
        if not values:
            continue
        where = f"{label}:{number}"
        if fault := label_fault(values, len(report.sides)):
            report.fault("bad lines", where, fault, file)
            continue
        hand = parse_label(values, (width, height), report.sides)
        hands.append(hand)
        if fault := _misplaced(hand):
            report.fault("keypoints off their box", where, fault, file)
    _check_doubles(hands, label, file, report)
    return hands


def _misplaced(hand: HandLabel) -> str | None:
    if hand.keypoints is None:
        return None
    points = hand.keypoints[hand.keypoints[:, 2] > 0, :2]
    room = _OUTSIDE * (hand.box[2:] - hand.box[:2]).max()
    off = ((points < hand.box[:2] - room) | (points > hand.box[2:] + room)).any(1)
    if off.mean() <= _MOST_OUTSIDE:
        return None
    return f"{off.sum()} of {len(points)} known keypoints lie far outside the box"


def _check_doubles(hands: list[HandLabel], label: Path, file: Path, report: SetReport) -> None:
    boxes = np.array([hand.box for hand in hands]).reshape(-1, 4)
    for first, second in np.argwhere(np.triu(box_iou(boxes, boxes), 1) >= _SAME_HAND):
        where = f"{label}: hands {first + 1} and {second + 1}"
        known = {hands[first].side, hands[second].side} - {UNKNOWN_SIDE}
        if len(known) == 2:
            report.fault("wrong sides", where, "one hand is labelled left and right", file)
        else:
            report.fault("hands twice", where, "one hand is labelled twice", file)
