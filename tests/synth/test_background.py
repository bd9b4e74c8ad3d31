from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.errors import HandError
from wilor_yolo.synth.background import Photos, draw_background
from wilor_yolo.synth.light import sample_lighting


def test_backgrounds_are_finite_and_varied():
    kinds, means = set(), []
    for i in range(30):
        rng = np.random.default_rng(i)
        drawn = draw_background(rng, 48, 32, sample_lighting(rng))
        assert drawn.image.shape == (32, 48, 3) and drawn.image.dtype == np.float32
        assert np.isfinite(drawn.image).all() and drawn.image.min() >= 0
        kinds.add(drawn.kind)
        means.append(drawn.image.mean())
    assert kinds == {"panorama", "surface", "plain"}
    assert np.std(means) > 0.05


def test_own_photographs(tmp_path):
    picture = np.zeros((60, 90, 3), np.uint8)
    picture[..., 2] = 255  # red in BGR
    cv2.imwrite(str(tmp_path / "red.png"), picture)
    photos = Photos(tmp_path)
    rng = np.random.default_rng(0)
    drawn = draw_background(rng, 32, 32, sample_lighting(rng), photos, photo_share=1.0)
    assert drawn.kind == "photo"
    np.testing.assert_allclose(drawn.image[5, 5], [1, 0, 0], atol=1e-5)


def test_folder_without_pictures(tmp_path):
    with pytest.raises(HandError, match="without hands"):
        Photos(tmp_path)
