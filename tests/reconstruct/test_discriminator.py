from __future__ import annotations

import pytest
import torch

from wilor_yolo.errors import WeightsError
from wilor_yolo.reconstruct.discriminator import (
    PoseDiscriminator,
    discriminator_loss,
    generator_loss,
)

# Layer shapes of the released checkpoint, from its public description.
RELEASED = {
    "D_conv1": (32, 9, 1, 1),
    "D_conv2": (32, 32, 1, 1),
    **{f"pose_out.{i}": (1, 32) for i in range(15)},
    "betas_fc1": (10, 10),
    "betas_fc2": (5, 10),
    "betas_out": (1, 5),
    "D_alljoints_fc1": (1024, 480),
    "D_alljoints_fc2": (1024, 1024),
    "D_alljoints_out": (1, 1024),
}


def _released_state():
    state = {f"{name}.weight": torch.randn(shape) for name, shape in RELEASED.items()}
    return state | {f"{name}.bias": torch.randn(shape[0]) for name, shape in RELEASED.items()}


def test_released_weights_fit_and_the_count_agrees():
    judge = PoseDiscriminator()
    assert sum(p.numel() for p in judge.parameters()) == 1_545_211
    state = _released_state()
    judge.load_released(state)
    torch.testing.assert_close(judge.joint_out[14].weight, state["pose_out.14.weight"])
    with pytest.raises(WeightsError, match="D_conv9"):
        judge.load_released({"D_conv9.weight": torch.zeros(1)})
    state["betas_fc1.weight"] = torch.zeros(3, 3)
    with pytest.raises(WeightsError, match="do not fit"):
        judge.load_released(state)


def test_scores_are_factorised():
    torch.manual_seed(0)
    judge = PoseDiscriminator()
    pose, betas = torch.randn(4, 15, 3, 3), torch.randn(4, 10)
    scores = judge(pose, betas)
    assert scores.shape == (4, 17)
    moved = pose.clone()
    moved[:, 6] += 1
    changed = (judge(moved, betas) != scores).any(0)
    assert changed.tolist() == [i in (6, 16) for i in range(17)]
    changed = (judge(pose, betas + 1) != scores).any(0)
    assert changed.tolist() == [i == 15 for i in range(17)]


def test_losses_push_the_right_way():
    ones, zeros = torch.ones(3, 17), torch.zeros(3, 17)
    assert generator_loss(ones) == 0 and generator_loss(zeros) == 17
    assert discriminator_loss(ones, zeros) == 0 and discriminator_loss(zeros, ones) == 34


def test_learns_to_tell_real_from_fake():
    torch.manual_seed(0)
    judge = PoseDiscriminator()
    optimiser = torch.optim.Adam(judge.parameters(), 3e-3)
    real = torch.eye(3).expand(32, 15, 3, 3) + 0.05 * torch.randn(32, 15, 3, 3)
    fake = torch.eye(3).flip(0).expand(32, 15, 3, 3) + 0.05 * torch.randn(32, 15, 3, 3)
    betas = torch.zeros(32, 10)
    for _ in range(60):
        loss = discriminator_loss(judge(real, betas), judge(fake, betas))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    # The shape score sees the same betas twice and can do no better than 0.5 + 0.5 squared.
    assert loss < 2.0
    assert judge(real, betas)[:, 16].mean() > 0.8 and judge(fake, betas)[:, 16].mean() < 0.2
