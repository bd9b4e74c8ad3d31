"""What a batch costs: every term of Eq. 8 and of the training aid, weighted and summed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .auxiliary import keypoint_map_losses
from .batches import HandBatch
from .discriminator import generator_loss
from .keypoint_tokens import KeypointEvidence
from .losses import (
    LossWeights,
    coarse_losses,
    complete_targets,
    landmark_loss,
    network_losses,
    side_loss,
)
from .network import HandNetwork, NetworkOutput
from .stems import LandmarkEvidence

__all__ = ["Cost", "Objective", "bad_samples"]


@dataclass
class Cost:
    """Of one batch.

    Attributes:
        total: scalar with gradient.
        numbers: the unweighted terms, for the log.
        output: of the network.
    """

    total: Tensor
    numbers: dict[str, float]
    output: NetworkOutput


class Objective:
    """The weighted sum of the losses that are switched on."""

    def __init__(
        self, weights: LossWeights, network: HandNetwork, aided: bool, judge: nn.Module | None
    ) -> None:
        """Say which losses.

        Args:
            weights: of the terms.
            network: whose trunk and hand model the terms need.
            aided: the wrapped network gives keypoint maps too (`AidedNetwork`).
            judge: the discriminator to be fooled, or None.
        """
        self.weights = weights
        self._network, self._aided, self._judge = network, aided, judge

    @property
    def judged(self) -> bool:
        """Whether there is an adversarial loss."""
        return self._judge is not None

    def __call__(self, wrapped: nn.Module, crops: Tensor, batch: HandBatch) -> Cost:
        """Run the network and add up.

        Args:
            wrapped: the network, wrapped for precision and several processes.
            crops: of `batch`, on the device.
            batch: its targets are moved to the device of `crops`.
        """
        weights, hand = self.weights, self._network.hand
        targets = complete_targets(batch.targets.to(crops.device), hand)
        seen = wrapped(crops)
        output: NetworkOutput = seen[0] if self._aided else seen
        terms = network_losses(output, targets)
        total = terms.total(weights)
        numbers = terms.numbers()
        evidence = output.evidence
        if isinstance(evidence, LandmarkEvidence):
            landmarks = landmark_loss(evidence, targets.known, weights)
            total = total + weights.landmarks * landmarks
            numbers["landmarks"] = float(landmarks.detach())
        if output.side_logit is not None:
            side = side_loss(output.side_logit, targets.known.shows_right)
            total = total + weights.side * side
            numbers["side"] = float(side.detach())
        if weights.maps and (self._aided or isinstance(evidence, KeypointEvidence)):
            if isinstance(evidence, KeypointEvidence):
                maps, frame = evidence, self._network.trunk.stem.fine_frame
                log_heat, depths = maps.log_heat, maps.depths
            else:
                (_, log_heat, depths), frame = seen, self._network.trunk.frame
            heat, depth = keypoint_map_losses(log_heat, depths, targets.known, frame)
            total = total + weights.maps * heat + weights.map_depths * depth
            numbers["maps"], numbers["map_depths"] = float(heat.detach()), float(depth.detach())
        if weights.coarse:
            coarse = coarse_losses(output.coarse, hand, targets)
            total = total + weights.coarse * coarse.total(weights)
            numbers["coarse_keypoints_2d"] = float(coarse.keypoints_2d.detach())
            numbers["coarse_joints_3d"] = float(coarse.joints_3d.detach())
        if self._judge is not None:
            # The judge does not learn from being fooled.
            self._judge.requires_grad_(False)
            fooled = generator_loss(self._judge(output.hand_pose.float(), output.betas.float()))
            self._judge.requires_grad_(True)
            total = total + weights.adversarial * fooled
            numbers["adversarial"] = float(fooled.detach())
        return Cost(total, numbers, output)


def _finite_rows(value: Tensor) -> Tensor:
    """(B,) whether all numbers of a sample are finite."""
    return torch.isfinite(value).flatten(1).all(dim=1) if value.ndim > 1 else torch.isfinite(value)


def bad_samples(batch: HandBatch, output: NetworkOutput) -> list[str]:
    """Names of the samples that brought numbers that are not finite; empty if none did."""
    # Batch norm spreads one bad sample over its batch: look at what went in first.
    inputs = [batch.crops, *vars(batch.targets).values()]
    good = torch.stack([_finite_rows(value) for value in inputs]).all(dim=0)
    if good.all():
        good = _finite_rows(output.vertices.detach()).cpu()
    return [name for name, fine in zip(batch.names(), good.tolist(), strict=True) if not fine]
