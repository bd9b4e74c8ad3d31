from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.annotate.candidates import FrameName, HandCandidates, HandFinder, StoredFinder
from wilor_yolo.annotate.ensemble import Ensemble
from wilor_yolo.skeleton import RIGHT

FRAME = FrameName("clip", 3, "/videos/clip.mp4")


class OnePerView:
    """Sees a hand in the middle of everything it is shown."""

    name = "one"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, image: np.ndarray) -> HandCandidates:
        self.shapes.append(image.shape[:2])
        middle = np.array(image.shape[1::-1]) / 2
        box = np.concatenate((middle - 5, middle + 5))[None]
        return HandCandidates(box, np.array([0.8]), np.array([RIGHT]))


class Broken:
    name = "broken"

    def __call__(self, image: np.ndarray) -> HandCandidates:
        raise RuntimeError("out of luck\nand more")


class Nothing:
    name = "nothing"

    def __call__(self, image: np.ndarray) -> HandCandidates:
        return HandCandidates.none()


class Stored:
    name = "stored"

    def stored(self, frame: FrameName) -> HandCandidates | None:
        return HandCandidates.none() if frame.index == 3 else None


def people(image: np.ndarray) -> np.ndarray:
    return np.array([[100.0, 50, 150, 150], [0, 0, 3, 3]])


def test_views_are_the_frame_and_its_people_and_come_back_to_the_frame() -> None:
    finder = OnePerView()
    assert isinstance(finder, HandFinder) and isinstance(Stored(), StoredFinder)
    found = Ensemble([finder], people=people).find(np.zeros((200, 300, 3), np.uint8), FRAME, print)
    # The second person is too small to look at. The first is padded by 15 px of its 100.
    assert finder.shapes == [(200, 300), (130, 80)]
    candidates = found["one"]
    assert candidates is not None
    middles = (candidates.boxes[:, :2] + candidates.boxes[:, 2:]) / 2
    assert middles.tolist() == [[150, 100], [125, 100]]
    finder.shapes.clear()
    Ensemble([finder], people=people, full_frame=False)(
        np.zeros((200, 300, 3), np.uint8), FRAME, print
    )
    assert finder.shapes == [(130, 80)]


def test_a_detector_that_throws_costs_its_own_voice_only() -> None:
    said: list[str] = []
    ensemble = Ensemble([OnePerView(), Broken()], [Stored()])
    (hand,) = ensemble(np.zeros((20, 30, 3), np.uint8), FRAME, said.append)
    assert said == ["broken: RuntimeError: out of luck"]
    assert hand.confidence == pytest.approx(0.4)  # "one" of "one" and "stored"; broken is no voice
    elsewhere = FrameName("clip", 4, "/videos/clip.mp4")
    (hand,) = ensemble(np.zeros((20, 30, 3), np.uint8), elsewhere, said.append)
    assert hand.confidence == pytest.approx(0.8)


def test_nobody_looked_is_not_nobody_there() -> None:
    elsewhere = FrameName("clip", 4, "/videos/clip.mp4")  # Stored does not name it
    picture = np.zeros((20, 30, 3), np.uint8)
    assert Ensemble([Broken()], [Stored()])(picture, elsewhere, lambda what: None) is None
    assert Ensemble([Nothing()], [Stored()])(picture, elsewhere, print) == []


def test_people_that_fail_leave_the_full_frame() -> None:
    said: list[str] = []
    ensemble = Ensemble([OnePerView()], people=Broken(), full_frame=False)
    assert len(ensemble(np.zeros((20, 30, 3), np.uint8), FRAME, said.append)) == 1
    assert said[0].startswith("people: RuntimeError")


def test_two_of_one_name_get_apart() -> None:
    assert Ensemble([OnePerView(), OnePerView()], [Stored()]).names == ["one", "one2", "stored"]
