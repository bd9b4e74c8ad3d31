from __future__ import annotations

import numpy as np
import roma
import torch

from wilor_yolo.reconstruct.priors import collect_prior, draw_prior


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
