"""Run a detector over pictures with known hands and measure what it finds, per data set.

A detector is anything that can be asked for the hands of a picture: ours, a peer's, or a file of
detections made elsewhere. Sets whose hands are not all known get recall and what is measured on
found hands; sets without hands get false positives only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..images import read_image
from ..metrics import detection as metrics
from ..metrics.detection import COCO_IOUS, UNKNOWN, PictureHands
from ..metrics.detection_keypoints import keypoint_average_precision, keypoint_error, pck
from .true_pictures import TruePicture

__all__ = [
    "LOWEST_SCORE",
    "WORKING_SCORE",
    "Answer",
    "Finder",
    "SourceResult",
    "ask",
    "measure",
    "pictures_per_second",
    "tabulate",
]

WORKING_SCORE = 0.25  # predictions from here on count for recall, false positives and sides
LOWEST_SCORE = 0.001  # average precision looks at the whole curve
PCK_SHARE = 0.1  # of the larger box side
_WARM_UP = 3  # pictures

# (file, picture (H, W, 3) uint8 BGR) -> the hands found in it, with scores.
Finder = Callable[[Path, np.ndarray], PictureHands]
Answer = tuple[TruePicture, PictureHands]


@dataclass(frozen=True)
class SourceResult:
    """What a detector did on the pictures of one source; NaN where a measure does not apply.

    Attributes:
        ap50, ap: average precision at IoU 0.5 and over 0.5:0.95, sides ignored.
        ap50_sides, ap_sides: the same, left and right being two classes; mean over both.
        ap_small, ap_medium, ap_large: as `ap`, of hands of COCO's sizes.
        small, medium, large: how many hands these are.
        recall: of true hands, IoU 0.5, score >= 0.25, sides ignored.
        false_positives: a picture, same thresholds.
        handedness: share of `sided` found hands whose side is right.
        keypoint_error: mean distance over the larger box side, on `posed` found hands.
        pck: share of their keypoints within a tenth of the larger box side.
        ap_keypoints: average precision over OKS 0.5:0.95.
    """

    source: str
    pictures: int
    hands: int
    ap50: float
    ap: float
    ap50_sides: float
    ap_sides: float
    ap_small: float
    ap_medium: float
    ap_large: float
    small: int
    medium: int
    large: int
    recall: float
    false_positives: float
    handedness: float
    sided: int
    keypoint_error: float
    posed: int
    pck: float
    ap_keypoints: float

    def numbers(self) -> dict[str, object]:
        """As plain values for JSON; None for NaN."""
        return {k: None if v != v else v for k, v in asdict(self).items()}


def ask(
    find: Finder,
    pictures: Sequence[TruePicture],
    progress: Callable[[int, int], None] | None = None,
) -> list[Answer]:
    """What a detector finds in each picture.

    Args:
        find: the detector; it should give hands from a score of `LOWEST_SCORE` up.
        pictures: the pictures.
        progress: called with (pictures done, pictures in all).

    Raises:
        ImageError: a picture cannot be read.
    """
    answers = []
    for done, picture in enumerate(pictures, start=1):
        answers.append((picture, find(picture.file, read_image(picture.file))))
        if progress is not None:
            progress(done, len(pictures))
    return answers


def tabulate(answers: Sequence[Answer]) -> list[SourceResult]:
    """A row a source, in the order of the pictures, and one of all of them if there are several."""
    names = list(dict.fromkeys(picture.source for picture, _ in answers))
    rows = [
        measure(name, [answer for answer in answers if answer[0].source == name]) for name in names
    ]
    return rows if len(rows) == 1 else [*rows, measure("all", answers)]


def measure(source: str, answers: Sequence[Answer]) -> SourceResult:
    """One row. Where some pictures are incomplete, precision is that of the complete ones."""
    nan = float("nan")
    everything = [(picture.hands, found) for picture, found in answers]
    whole = [(picture.hands, found) for picture, found in answers if picture.complete]
    judged = any(len(true) for true, _ in whole)
    # A detector that never names a side is not scored on sides.
    names_sides = any((found.sides != UNKNOWN).any() for _, found in answers)
    sized = {
        size: metrics.mean_average_precision(whole, size=size)
        for size in ("small", "medium", "large")
    }
    handedness, sided = (
        metrics.handedness_accuracy(everything, WORKING_SCORE) if names_sides else (nan, 0)
    )
    error, posed = keypoint_error(everything, WORKING_SCORE)
    return SourceResult(
        source=source,
        pictures=len(answers),
        hands=sum(len(true) for true, _ in everything),
        ap50=metrics.average_precision(whole) if judged else nan,
        ap=metrics.mean_average_precision(whole) if judged else nan,
        ap50_sides=metrics.mean_average_precision(whole, (0.5,), True) if names_sides else nan,
        ap_sides=metrics.mean_average_precision(whole, COCO_IOUS, True) if names_sides else nan,
        ap_small=sized["small"],
        ap_medium=sized["medium"],
        ap_large=sized["large"],
        small=metrics.hands_of_size(whole, "small"),
        medium=metrics.hands_of_size(whole, "medium"),
        large=metrics.hands_of_size(whole, "large"),
        recall=metrics.recall(everything, WORKING_SCORE),
        false_positives=metrics.false_positives(whole, WORKING_SCORE),
        handedness=handedness,
        sided=sided,
        keypoint_error=error,
        posed=posed,
        pck=pck(everything, PCK_SHARE, WORKING_SCORE)[0],
        ap_keypoints=keypoint_average_precision(whole) if judged else nan,
    )


def pictures_per_second(find: Finder, pictures: Sequence[TruePicture], seconds: float) -> float:
    """Pictures a second, one by one, without reading the files.

    Args:
        find: the detector, with the score it would work with.
        pictures: at least one; they are repeated until the time is over.
        seconds: to measure for, after three pictures to warm up.
    """
    frames = [(picture.file, read_image(picture.file)) for picture in pictures]
    for file, image in frames[:_WARM_UP]:
        find(file, image)
    count, begin = 0, time.perf_counter()
    while (spent := time.perf_counter() - begin) < seconds or count < len(frames):
        find(*frames[count % len(frames)])
        count += 1
    return count / spent
