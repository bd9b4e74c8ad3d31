"""Several detectors on one picture and on its people, fused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .candidates import FrameName, HandCandidates, HandFinder, StoredFinder
from .fusion import OUTLIER, SAME_HAND_IOU, FusedHand, fuse

__all__ = ["Ensemble"]

_PERSON_PAD = 0.15  # of the person's box: hands reach out of it
_LEAST_CROP = 32  # px


class Ensemble:
    """The detectors of the paper's section 3: people first, hands in the frame and in each person.

    Args:
        finders: detectors that look at pictures.
        stored: detections that were computed elsewhere, in pixels of the full frame.
        people: gives boxes (N, 4) of people; None looks at the full frame only.
        full_frame: look at the full frame as well as at the people.
        trust: factor on each detector's confidence as a weight, by name.
        same_hand_iou, outlier: see :mod:`.fusion`.
    """

    def __init__(
        self,
        finders: Sequence[HandFinder] = (),
        stored: Sequence[StoredFinder] = (),
        people: Callable[[np.ndarray], np.ndarray] | None = None,
        full_frame: bool = True,
        trust: dict[str, float] | None = None,
        same_hand_iou: float = SAME_HAND_IOU,
        outlier: float = OUTLIER,
    ) -> None:
        self.finders = _unique(finders)
        self.stored = _unique(stored, self.finders)
        self.people, self.full_frame, self.trust = people, full_frame, trust
        self.same_hand_iou, self.outlier = same_hand_iou, outlier

    @property
    def names(self) -> list[str]:
        """Names of all detectors."""
        return [*self.finders, *self.stored]

    def __call__(
        self, image: np.ndarray, frame: FrameName, trouble: Callable[[str], None]
    ) -> list[FusedHand] | None:
        """The hands of a picture; None when no detector looked at it: it may be full of hands.

        Args:
            image: (H, W, 3) uint8 BGR.
            frame: which picture it is.
            trouble: told in a line when a detector fails; the others go on without it.
        """
        found = self.find(image, frame, trouble)
        if all(seen is None for seen in found.values()):
            return None
        return fuse(found, self.trust, self.same_hand_iou, self.outlier)

    def find(
        self, image: np.ndarray, frame: FrameName, trouble: Callable[[str], None]
    ) -> dict[str, HandCandidates | None]:
        """What each detector sees before fusion; None for one that did not look or failed."""
        views = self._views(image, trouble) if self.finders else []
        found: dict[str, HandCandidates | None] = {}
        for name, finder in self.finders.items():
            try:
                parts = [finder(view).shifted(x, y) for view, x, y in views]
                found[name] = HandCandidates.joined(parts)
            except Exception as error:  # whatever a detector throws costs one voice on one frame
                trouble(f"{name}: {_line(error)}")
                found[name] = None
        for name, source in self.stored.items():
            try:
                found[name] = source.stored(frame)
            except Exception as error:
                trouble(f"{name}: {_line(error)}")
                found[name] = None
        return found

    def _views(
        self, image: np.ndarray, trouble: Callable[[str], None]
    ) -> list[tuple[np.ndarray, int, int]]:
        """(picture, x, y) of the full frame and of the people in it."""
        views = [(image, 0, 0)] if self.full_frame or self.people is None else []
        if self.people is None:
            return views
        height, width = image.shape[:2]
        try:
            boxes = self.people(image)
        except Exception as error:
            trouble(f"people: {_line(error)}")
            return views or [(image, 0, 0)]
        for box in boxes:
            pad = _PERSON_PAD * float((box[2:] - box[:2]).max())
            left, top = (max(int(v - pad), 0) for v in box[:2])
            right, bottom = (
                min(int(np.ceil(v + pad)), limit)
                for v, limit in zip(box[2:], (width, height), strict=True)
            )
            if min(right - left, bottom - top) >= _LEAST_CROP:
                views.append((np.ascontiguousarray(image[top:bottom, left:right]), left, top))
        return views


def _unique(sources: Sequence, taken: dict | None = None) -> dict:
    """By name; a second one of a name gets a number."""
    named: dict = {}
    for source in sources:
        name, number = source.name, 2
        while name in named or name in (taken or {}):
            name, number = f"{source.name}{number}", number + 1
        named[name] = source
    return named


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else 'no message'}"
