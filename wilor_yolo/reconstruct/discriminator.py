"""The factorised pose and shape discriminator of L_adv (paper Eq. 8, after HMR, Kanazawa 2018).

One small judge per finger joint, one for all joints together, one for the shape. Layer shapes are
those of the released checkpoint, so its weights can be loaded; names are ours.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import WeightsError

__all__ = ["PoseDiscriminator", "discriminator_loss", "generator_loss"]

NUM_JOINTS = 15
NUM_BETAS = 10

# Names in the released checkpoint (after its prefix "discriminator.") -> ours.
_RELEASED_NAMES = {
    "D_conv1": "joint_in",
    "D_conv2": "joint_hidden",
    "pose_out": "joint_out",
    "betas_fc1": "shape.0",
    "betas_fc2": "shape.2",
    "betas_out": "shape.4",
    "D_alljoints_fc1": "pose.0",
    "D_alljoints_fc2": "pose.2",
    "D_alljoints_out": "pose.4",
}


class PoseDiscriminator(nn.Module):
    """17 scores a hand: 15 joints, the shape, the whole pose. 1 means real, 0 made up."""

    def __init__(self) -> None:
        super().__init__()
        self.joint_in = nn.Conv2d(9, 32, 1)
        self.joint_hidden = nn.Conv2d(32, 32, 1)
        self.joint_out = nn.ModuleList(nn.Linear(32, 1) for _ in range(NUM_JOINTS))
        self.shape = nn.Sequential(
            nn.Linear(NUM_BETAS, 10), nn.ReLU(), nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 1)
        )
        self.pose = nn.Sequential(
            nn.Linear(32 * NUM_JOINTS, 1024),
            nn.ReLU(),
            nn.Linear(1024, 1024),
            nn.ReLU(),
            nn.Linear(1024, 1),
        )

    def forward(self, hand_pose: Tensor, betas: Tensor) -> Tensor:
        """Scores (B, 17) of finger rotations (B, 15, 3, 3) and betas (B, 10)."""
        joints = hand_pose.flatten(2).transpose(1, 2)[:, :, None]  # (B, 9, 1, 15)
        hidden = functional.relu(self.joint_hidden(functional.relu(self.joint_in(joints))))
        hidden = hidden[:, :, 0]  # (B, 32, 15)
        each = [judge(hidden[:, :, i]) for i, judge in enumerate(self.joint_out)]
        return torch.cat((*each, self.shape(betas), self.pose(hidden.flatten(1))), dim=1)

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Load the `discriminator.*` tensors of the released checkpoint, prefix removed.

        Shapes are checked; whether the flattening order of "all joints" agrees with the released
        code was not seen.

        Raises:
            WeightsError: a name or shape that does not belong.
        """
        renamed = {}
        for name, value in state.items():
            ours = next((v for k, v in _RELEASED_NAMES.items() if name.startswith(k + ".")), None)
            if ours is None:
                raise WeightsError(f"{name} is no layer of the released discriminator.")
            old = next(k for k in _RELEASED_NAMES if name.startswith(k + "."))
            renamed[ours + name[len(old) :]] = value
        try:
            self.load_state_dict(renamed)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise WeightsError(f"the discriminator's weights do not fit: {first}") from None


def generator_loss(scores: Tensor) -> Tensor:
    """||D - 1||^2 (Eq. 8): mean over the batch of the sum over the 17 scores."""
    return (scores - 1).square().sum(dim=1).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """(D(real) - 1)^2 + D(fake)^2, summed over scores, mean over each batch."""
    return (real - 1).square().sum(dim=1).mean() + fake.square().sum(dim=1).mean()
