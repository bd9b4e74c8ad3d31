from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wilor_yolo.reconstruct.augment import AugmentConfig
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.seen import _fitted, seen_sheet

NETWORK = NetworkConfig.from_dict({"image_size": 64, "dim": 32, "heads": 2, "box_scale": 1.5})
CYAN, MAGENTA = (255, 255, 0), (255, 0, 255)


def _places(tile, colour):
    return np.argwhere((tile == colour).all(-1))


@pytest.mark.parametrize("augment", [None, AugmentConfig()])
def test_labels_meet_on_the_hand(make_hand, free_hand, augment):
    """3D joints and the posed model fall on the same 2D joints, however the view is turned."""
    samples = [make_hand("r", 3), make_hand("l", 4, is_right=False)]
    samples += [dataclasses.replace(make_hand("w", 5, parameters=False), keypoints_3d=None)]
    sheet = seen_sheet([s.encode() for s in samples], NETWORK, augment, free_hand, 1, 2, side=160)
    assert sheet.shape == (320, 640, 3) and sheet.dtype == np.uint8
    for row, column, known in ((0, 0, True), (0, 1, True), (1, 0, False)):
        tile = sheet[160 * row : 160 * row + 160, 320 * column + 160 : 320 * column + 320]
        magenta, cyan = _places(tile, MAGENTA), _places(tile, CYAN)
        assert (len(magenta) > 20) == known
        if known:  # the later crosses cover the earlier ones nearly everywhere
            gaps = np.linalg.norm(cyan[:, None] - magenta[None], axis=-1).min(1)
            assert len(gaps) == 0 or np.median(gaps) < 4
    assert not sheet[160:, 320:].any()  # nothing in the last place
    # Columns that a ViT does not see are dimmed.
    assert sheet[:160, 5:15].mean() < 0.5 * sheet[:160, 75:85].mean()


def test_a_wrong_pose_shows(make_hand, free_hand):
    sample = make_hand("r", 3)
    wrong = dataclasses.replace(sample, global_orient=sample.global_orient + np.array([1.5, 0, 0]))
    spread = []
    for each in (sample, wrong):
        sheet = seen_sheet([each.encode()], NETWORK, None, free_hand, columns=1, side=160)
        cyan, magenta = _places(sheet, CYAN), _places(sheet, MAGENTA)
        far = np.linalg.norm(cyan[:, None] - magenta[None], axis=-1).min(1) if len(cyan) else [0]
        spread.append(np.max(far))
    assert spread[1] > 6 > spread[0]


def test_fit():
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(21, 2))
    points, weight = 3 * xy + [5, -2], np.ones(21)
    points[4], weight[4] = 99, 0
    assert np.allclose(_fitted(xy, points, weight), 3 * xy + [5, -2])
