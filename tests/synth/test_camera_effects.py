from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from wilor_yolo.synth.camera_effects import CameraEffects, develop, motion_kernel, sample_effects

NEUTRAL = CameraEffects(
    exposure=0.5, gain=(1, 1, 1), contrast=1.0, saturation=1.0, vignette=0.0, defocus=0.0,
    motion=(0, 0), low_resolution=1.0, read_noise=0.0, shot_noise=0.0, noise_size=0.0, jpeg=101,
    sharpen=0.0,
)  # fmt: skip


def _develop(image, **changes):
    return develop(image, replace(NEUTRAL, **changes), np.random.default_rng(0))


def test_exposure_brings_grey_to_the_target_and_swaps_to_bgr():
    grey = np.full((16, 16, 3), 3.7, np.float32)
    assert _develop(grey).mean() == pytest.approx(255 * 0.5, abs=3)
    red = np.full((16, 16, 3), 0.05, np.float32)
    red[..., 0] = 0.4
    out = _develop(red)
    assert (out[..., 2] > out[..., 0]).all()


def test_effects_leave_the_geometry_alone():
    image = np.full((65, 65, 3), 0.02, np.float32)
    image[28:37, 28:37] = 1.0
    for changes in (
        {"defocus": 3.0}, {"motion": (9.0, 4.0)}, {"low_resolution": 4.0}, {"jpeg": 30},
        {"sharpen": 1.0}, {"vignette": 0.4},
    ):  # fmt: skip
        out = _develop(image, **changes).astype(float).sum(-1)
        out -= np.median(out)
        y, x = np.mgrid[:65, :65]
        centre = (out * x).sum() / out.sum(), (out * y).sum() / out.sum()
        assert np.abs(np.subtract(centre, 32)).max() < 0.6, changes


def test_metering_prefers_the_subject():
    image = np.full((32, 32, 3), 4.0, np.float32)
    image[8:24, 8:24] = 0.05
    mask = np.zeros((32, 32), np.float32)
    mask[8:24, 8:24] = 1
    rng = np.random.default_rng(0)
    whole = develop(image, NEUTRAL, rng)
    subject = develop(image, NEUTRAL, rng, mask)
    assert subject[16, 16].mean() > whole[16, 16].mean() + 60


def test_motion_kernel_is_a_centred_path():
    kernel = motion_kernel((8.0, -3.0))
    assert kernel.sum() == pytest.approx(1)
    y, x = np.mgrid[: kernel.shape[0], : kernel.shape[1]]
    middle = (kernel.shape[0] - 1) / 2
    assert (kernel * x).sum() == pytest.approx(middle, abs=1e-3)
    assert (kernel * y).sum() == pytest.approx(middle, abs=1e-3)


def test_sampled_effects_develop_anything():
    for i in range(20):
        rng = np.random.default_rng(i)
        image = np.abs(rng.normal(0.5, 0.5, (40, 56, 3))).astype(np.float32)
        out = develop(image, sample_effects(rng, 56), rng)
        assert out.shape == (40, 56, 3) and out.dtype == np.uint8
