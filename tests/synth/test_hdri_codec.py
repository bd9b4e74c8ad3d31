from __future__ import annotations

import numpy as np

from wilor_yolo.synth.hdri_codec import decode, encode


def test_radiance_survives_within_a_step():
    rng = np.random.default_rng(0)
    radiance = np.exp(rng.normal(0, 1.0, (32, 64, 3))).astype(np.float32)
    back = decode(encode(radiance))
    relative = radiance / radiance.mean()
    assert np.abs(np.log2(back / relative)).max() < 0.5 * 23 / 900 + 1e-3


def test_lamps_and_shadows_are_clamped_not_wrapped():
    radiance = np.ones((8, 16, 3), np.float32)
    radiance[0, 0], radiance[1, 1] = 0.0, [1e-9, 30.0, 1e-9]
    back = decode(encode(radiance))
    assert back[0, 0].max() < 1e-3
    assert back[1, 1, 1] > 10 and back[1, 1, 0] < 1e-3
