"""Detectors that can be measured side by side: ours, anybody's Ultralytics model, MediaPipe, and
detections somebody else computed. They come from :mod:`wilor_yolo.annotate`, whose finders
:mod:`wilor_yolo.evaluate` does not know; the two meet here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import HandError

if TYPE_CHECKING:
    from ..annotate.candidates import HandCandidates, HandFinder
    from ..evaluate.detection import Finder
    from ..metrics.detection import PictureHands

__all__ = ["MEDIAPIPE", "Peer", "open_peer"]

MEDIAPIPE = "mediapipe"
# MediaPipe's own default is 0.5 for both scores; a precision curve needs what lies below. Its
# second network looks at each palm, so that their number costs time.
_LOW_PALM, _LOW_PRESENCE, _MOST = 0.1, 0.1, 20


@dataclass(frozen=True)
class Peer:
    """A detector to be measured.

    Attributes:
        name: in tables.
        find: gives every hand it can, for the precision curve.
        work: gives the hands it would give in use; None when it cannot be timed.
        megabytes: of its files; NaN when they are not here.
        parameters: how many it has; None when its files do not tell.
        files: what it is made of.
    """

    name: str
    find: Finder
    work: Finder | None
    megabytes: float
    parameters: int | None
    files: tuple[Path, ...] = ()


def open_peer(
    detector: str | None,
    imgsz: int | None = None,
    device: str | None = None,
    mediapipe: str | None = None,
) -> Peer:
    """Open a detector by what the user calls it.

    Args:
        detector: None for the shipped weights, "mediapipe", a `.json` of detections, or any model
            Ultralytics reads.
        imgsz: longer side of what an Ultralytics model sees, px.
        device: of an Ultralytics model.
        mediapipe: wheel or folder with MediaPipe's files.

    Raises:
        HandError: there is no such file, it is none of these, or MediaPipe's files are given for
            another one.
    """
    if detector == MEDIAPIPE:
        return _mediapipe(mediapipe)
    if mediapipe is not None:
        raise HandError(f"mediapipe= goes with detector={MEDIAPIPE} only.")
    if detector is not None and Path(detector).suffix == ".json":
        return _stored(Path(detector))
    return _ultralytics(detector, imgsz, device)


def _ultralytics(detector: str | None, imgsz: int | None, device: str | None) -> Peer:
    from ..annotate.yolo_finder import YoloFinder
    from ..evaluate.detection import LOWEST_SCORE, WORKING_SCORE
    from ..weights_dir import DETECTOR, or_shipped, shipped

    path = shipped(DETECTOR) if detector is None else or_shipped(detector)
    low = YoloFinder(detector, conf=LOWEST_SCORE, imgsz=imgsz, device=device)
    work = YoloFinder(detector, conf=WORKING_SCORE, imgsz=imgsz, device=device)
    name = path.name if imgsz is None else f"{path.name} {imgsz}"
    size = _megabytes(path)
    return Peer(name, _as_finder(low), _as_finder(work), size, low.parameters, (path,))


def _mediapipe(place: str | None) -> Peer:
    from ..annotate.mediapipe_files import find_files
    from ..annotate.mediapipe_tflite import MediaPipeFinder

    found = find_files(place)
    files = (found.palm, found.landmark)
    low = MediaPipeFinder(place, _LOW_PALM, _LOW_PRESENCE, _MOST)
    work = MediaPipeFinder(place)
    size = sum(_megabytes(file) for file in files)
    return Peer(MEDIAPIPE, _as_finder(low), _as_finder(work), size, None, files)


def _stored(path: Path) -> Peer:
    from ..annotate.candidates import FrameName
    from ..annotate.stored_finder import FileFinder

    stored = FileFinder(path)

    def find(file: Path, image: np.ndarray) -> PictureHands:
        found = stored.stored(FrameName(file.name, 0, str(file)))
        if found is None:
            raise HandError(
                f"{path} has no entry for {file}; list it with no hands if it has none."
            )
        return _picture_hands(found)

    return Peer(path.stem, find, None, float("nan"), None, (path,))


def _as_finder(finder: HandFinder) -> Finder:
    return lambda file, image: _picture_hands(finder(image))


def _picture_hands(found: HandCandidates) -> PictureHands:
    from ..metrics.detection import PictureHands

    keypoints = None
    if found.keypoints is not None:
        known = found.keypoints[..., 2:] > 0
        keypoints = np.where(known, found.keypoints[..., :2], np.nan)
    return PictureHands(found.boxes, np.asarray(found.sides), found.confidence, keypoints)


def _megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
