from __future__ import annotations

import json
import math

import numpy as np
import pytest
import roma
import torch

from wilor_yolo.errors import HandError
from wilor_yolo.reconstruct.priors import collect_prior, draw_prior, load_prior, save_prior
from wilor_yolo.samples import EncodedSample


def test_prior_takes_samples_with_parameters_only(make_hand):
    samples = [make_hand(f"k{i}", i, parameters=i % 2 == 0) for i in range(6)]
    prior = collect_prior(s.encode() for s in samples)
    assert prior.shape == (3, 55)
    np.testing.assert_allclose(prior[1, :45], samples[2].hand_pose, atol=1e-6)
    np.testing.assert_allclose(prior[1, 45:], samples[2].betas, atol=1e-6)
    assert collect_prior([samples[1].encode()]).shape == (0, 55)
    assert len(collect_prior((s.encode() for s in samples), most=2)) == 2
    poses, betas = draw_prior(prior, 8, np.random.default_rng(0))
    assert poses.shape == (8, 15, 3, 3) and betas.shape == (8, 10)
    rows = roma.rotmat_to_rotvec(poses).reshape(8, 45)
    nearest = (rows[:, None] - torch.from_numpy(prior[None, :, :45])).abs().amax(-1).amin(1)
    assert nearest.max() < 1e-4


def test_bad_rows_are_refused_and_named(make_hand):
    good = make_hand("good").encode()
    label = json.loads(good.label)
    for change, words in (
        ({"hand_pose": [math.nan] * 45}, "hand_pose holds NaN"),  # JSON as Python writes it
        ({"betas": [0.0] * 9}, "betas must be"),
    ):
        bad = EncodedSample("bad", good.jpeg, json.dumps(label | change).encode())
        with pytest.raises(HandError, match=f"sample bad: {words}"):
            collect_prior([good, bad])
    with pytest.raises(HandError, match="sample torn: the JSON"):
        collect_prior([good, EncodedSample("torn", good.jpeg, good.label[:-9])])


def test_a_large_set_is_drawn_from_evenly(make_hand):
    label = make_hand("a", 1)
    rows = []
    for i in range(40):
        object.__setattr__(label, "betas", np.full(10, i, np.float32))
        rows.append(label.encode(quality=10))
    prior = collect_prior(rows, most=10)
    numbers = prior[:, 45]
    assert len(prior) == 10 and (np.diff(numbers) > 0).all()
    assert numbers.min() < 12 and numbers.max() > 27
    assert np.array_equal(prior, collect_prior(rows, most=10))


def test_files(tmp_path):
    rows = np.random.default_rng(0).normal(size=(5, 55)).astype(np.float32)
    path = tmp_path / "deep" / "prior.npz"
    save_prior(path, rows, "test")
    assert np.array_equal(load_prior(path), rows)
    assert [p.name for p in path.parent.iterdir()] == ["prior.npz"]
    np.savez(tmp_path / "m.npz", hand_pose=np.hstack((np.ones((5, 3)), rows[:, :45])),
             betas=rows[:, 45:])  # fmt: skip
    assert np.array_equal(load_prior(tmp_path / "m.npz"), rows)
    np.savez(tmp_path / "short.npz", hand_pose=rows[:, :44], betas=rows[:, 45:])
    rows[3, 2] = np.nan
    save_prior(tmp_path / "nan.npz", rows, "test")
    np.savez(tmp_path / "empty.npz", hand_pose=np.zeros((0, 45)), betas=np.zeros((0, 10)))
    np.savez(tmp_path / "number.npz", hand_pose=1.0, betas=rows[:, 45:])
    np.save(tmp_path / "bare.npy", rows)
    (tmp_path / "torn.npz").write_bytes(path.read_bytes()[:300])
    for name, message in (
        ("none.npz", "does not exist"),
        ("short.npz", "should be"),
        ("nan.npz", "row 3"),
        ("empty.npz", "should be"),
        ("number.npz", "should be"),
        ("bare.npy", "no prior"),
        ("torn.npz", "no prior"),
    ):
        with pytest.raises(HandError, match=message):
            load_prior(tmp_path / name)
