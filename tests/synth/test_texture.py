from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from wilor_yolo.synth.solid_noise import noise_volume, sample_noise
from wilor_yolo.synth.texture import fractal_noise, random_colour, random_surface


def test_surfaces_are_reflectances():
    deviations = []
    for seed in range(40):
        image = random_surface(np.random.default_rng(seed), 60, 44)
        assert image.shape == (44, 60, 3) and image.dtype == np.float32
        assert image.min() > 0 and image.max() <= 1.5
        deviations.append(image.std())
    assert np.median(deviations) > 0.01


def test_fractal_noise_is_normalised():
    noise = fractal_noise(np.random.default_rng(0), 128, 96)
    assert noise.std() == pytest.approx(1, abs=1e-3)


def test_colours_are_in_range():
    colours = np.stack([random_colour(np.random.default_rng(i)) for i in range(200)])
    assert colours.min() >= 0 and colours.max() <= 1
    assert colours.std(0).min() > 0.1


def test_solid_noise_repeats_and_is_normalised():
    volume = noise_volume("cloud")
    assert volume.std() == pytest.approx(1, abs=1e-3)
    points = np.random.default_rng(0).uniform(0, 1, (50, 3))
    here = sample_noise("cloud", points, 0.01)
    there = sample_noise("cloud", points + 0.64, 0.01)
    np.testing.assert_allclose(here, there, atol=1e-3)
    grid = np.array([[3, 5, 7]]) * 0.01
    assert sample_noise("cloud", grid + 1e-9, 0.01)[0] == pytest.approx(volume[3, 5, 7], abs=1e-3)
