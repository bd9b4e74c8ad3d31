from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.synth import clip_scene
from wilor_yolo.synth.background import Background
from wilor_yolo.synth.clip_scene import render_clip
from wilor_yolo.synth.hand_mesh import FineHand

SIZE = (128, 96)


@pytest.fixture(scope="module")
def hand() -> FineHand:
    return FineHand()


def test_seen_joints_lie_on_the_hands(hand: FineHand, monkeypatch) -> None:
    """Before black, with a camera that changes nothing, whatever is not black is hand or sleeve."""

    def black(rng: np.random.Generator, width: int, height: int, lighting: object) -> Background:
        return Background(np.zeros((height, width, 3), np.float32), "plain")

    monkeypatch.setattr(clip_scene, "draw_background", black)
    monkeypatch.setattr(clip_scene, "develop", lambda radiance, effects, rng: radiance)
    seen, boxes, sides = [], 0, set()
    for number in (0, 1):
        for frame in render_clip(5, number, hand, 3, 4, SIZE, rays=4):
            mask = frame.image.max(-1) > 0
            assert 0 < mask.mean() < 0.9
            for one in frame.hands:
                sure = one.keypoints_2d[one.keypoints_2d[:, 2] == 1, :2].round().astype(int)
                seen.append(mask[sure[:, 1], sure[:, 0]].mean())
                x0, y0, x1, y1 = one.bbox_xyxy.round().astype(int).clip(0)
                boxes += mask[y0 : y1 + 1, x0 : x1 + 1].mean() > 0.25
                sides.add(one.is_right)
    assert len(seen) > 5 and np.mean(seen) > 0.97 and boxes == len(seen)
    assert sides == {False, True}


def test_the_background_turns_with_the_camera() -> None:
    K = np.array([[100, 0, 63.5], [0, 100, 47.5], [0, 0, 1.0]])
    wide = np.zeros((120, 160, 3), np.float32)
    wide[59:61, 79:81] = 1  # straight ahead
    angle = 0.1  # to the right: what was ahead moves to the left
    camera = np.array(
        [[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]]
    )
    seen = clip_scene._turned_background(wide, camera, K, SIZE)
    y, x = np.unravel_index(seen[..., 0].argmax(), seen.shape[:2])
    assert x == pytest.approx(63.5 - 100 * np.tan(angle), abs=1) and y == pytest.approx(47.5, abs=1)
