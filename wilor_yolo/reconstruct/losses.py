"""The losses of paper Eq. 8, with a mask for everything a sample may lack.

    L = L_3D (vertices, joints) + L_2D + L_mano + L_adv

Each term is a mean over the *whole* batch and the elements of the term; a sample without a label
adds zero and does not make the others count more. The released code sums instead: its weight w
of a term with n numbers a sample equals our weight w * n, up to one common factor (the batch):

    term            released w x n          = ours      ratio to 2D    default here, same ratio
    keypoints_2d    0.01   x 42 (21 x 2)    0.42        1              1
    joints_3d       0.05   x 63 (21 x 3)    3.15        7.5            2.5
    vertices        none (the paper's L_3D)                            1.25
    global_orient   0.001  x 9              0.009       0.021          0.075
    hand_pose       0.001  x 135            0.135       0.32           0.75
    betas           0.0005 x 10             0.005       0.012          0.005
    adversarial     0.0005 / batch 32       1.6e-5      3.7e-5         1.3e-5  (a sum of 17 scores)
    articulation    none (ours)                                        7.5

AdamW does not care about the common factor. Vertices are compared relative to the wrist joint, in
the camera frame of the crop (so the global orientation counts, the translation does not: that is
supervised by the 2D term through the crop camera). `articulation` compares joints with the true and
the found orientation taken out: what is left is how the fingers are bent, which a few degrees of
wrong orientation would otherwise drown.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from ..geometry import project_crop, rotation_6d_to_matrix
from ..mano.layer import HandLayer
from .batches import HandTargets
from .network import CoarseHand, NetworkOutput
from .stems import LandmarkEvidence

__all__ = [
    "LossTerms",
    "LossWeights",
    "coarse_losses",
    "complete_targets",
    "landmark_loss",
    "network_losses",
    "side_loss",
]


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms (means); see the table at the top of the file.

    `coarse` multiplies the same terms (but `vertices`) of the trunk's own estimate; `maps` and
    `map_depths` weigh the training aid of :mod:`wilor_yolo.reconstruct.auxiliary` and the maps of
    keypoint tokens (both off with maps = 0); `landmarks` weighs what a landmark stem says of the
    joints, `side` what the network says of the side. The released code has none of these.
    """

    vertices: float = 5.0
    joints_3d: float = 10.0
    keypoints_2d: float = 4.0
    global_orient: float = 0.3
    hand_pose: float = 3.0
    betas: float = 0.02
    adversarial: float = 5e-5
    coarse: float = 0.5
    maps: float = 0.0
    map_depths: float = 2.0
    landmarks: float = 0.5
    side: float = 0.05
    articulation: float = 30.0


@dataclass
class LossTerms:
    """Unweighted terms, scalars. Units: metres (L1), crop units (L1), squared radians-like."""

    vertices: Tensor
    joints_3d: Tensor
    keypoints_2d: Tensor
    global_orient: Tensor
    hand_pose: Tensor
    betas: Tensor
    articulation: Tensor

    def total(self, weights: LossWeights) -> Tensor:
        """The weighted sum."""
        return torch.stack(
            [getattr(self, f.name) * getattr(weights, f.name) for f in fields(self)]
        ).sum()

    def numbers(self) -> dict[str, float]:
        """Detached floats for the log."""
        return {field.name: float(getattr(self, field.name).detach()) for field in fields(self)}


@dataclass
class CompleteTargets:
    """`HandTargets` with everything that follows from the parameters.

    Attributes:
        known: the targets; joints of samples with parameters but without 3D joints filled in.
        vertices: (B, 778, 3) metres relative to the wrist; zeros without parameters.
    """

    known: HandTargets
    vertices: Tensor


@torch.no_grad()
def complete_targets(targets: HandTargets, hand: HandLayer) -> CompleteTargets:
    """Pose the hand model with the true parameters."""
    mesh = hand(targets.global_orient, targets.hand_pose, targets.betas)
    has = targets.has_parameters[:, None, None]
    wrist = mesh.joints[:, :1]
    lacking = (targets.joints_3d_weight == 0) & (targets.has_parameters > 0)
    joints = torch.where(lacking[:, None, None], mesh.joints - wrist, targets.joints_3d)
    weight = torch.where(lacking, 1.0, targets.joints_3d_weight)
    known = HandTargets(
        targets.keypoints_2d,
        joints,
        weight,
        targets.global_orient,
        targets.hand_pose,
        targets.betas,
        targets.has_parameters,
        targets.shows_right,
    )
    return CompleteTargets(known, (mesh.vertices - wrist) * has)


def network_losses(output: NetworkOutput, targets: CompleteTargets) -> LossTerms:
    """All terms of the refined estimate."""
    return _losses(
        output.vertices,
        output.joints,
        output.keypoints_2d_crop,
        output.global_orient,
        output.hand_pose,
        output.betas,
        targets,
    )


def coarse_losses(coarse: CoarseHand, hand: HandLayer, targets: CompleteTargets) -> LossTerms:
    """All terms but `vertices` (set to zero) of the trunk's estimate."""
    rotations = rotation_6d_to_matrix(coarse.pose6d.float().view(-1, 16, 6))
    mesh = hand(rotations[:, :1], rotations[:, 1:], coarse.betas)
    projected = project_crop(mesh.joints, coarse.cam)
    return _losses(
        None, mesh.joints, projected, rotations[:, 0], rotations[:, 1:], coarse.betas, targets
    )


def _losses(
    vertices: Tensor | None,
    joints: Tensor,
    keypoints_2d: Tensor,
    global_orient: Tensor,
    hand_pose: Tensor,
    betas: Tensor,
    targets: CompleteTargets,
) -> LossTerms:
    known = targets.known
    wrist = joints[:, :1]
    has = known.has_parameters
    vertex_term = joints.new_zeros(())
    if vertices is not None:
        vertex_term = _masked_mean((vertices - wrist - targets.vertices).abs(), has)
    confidence = known.keypoints_2d[..., 2:]
    # Row vectors times R are R transposed times columns: back into the hand's own frame.
    own = (joints - wrist) @ global_orient - known.joints_3d @ known.global_orient
    return LossTerms(
        vertices=vertex_term,
        joints_3d=_masked_mean((joints - wrist - known.joints_3d).abs(), known.joints_3d_weight),
        keypoints_2d=((keypoints_2d - known.keypoints_2d[..., :2]).abs() * confidence).mean(),
        global_orient=_masked_mean((global_orient - known.global_orient).square(), has),
        hand_pose=_masked_mean((hand_pose - known.hand_pose).square(), has),
        betas=_masked_mean((betas - known.betas).square(), has),
        articulation=_masked_mean(own.abs(), has * known.joints_3d_weight),
    )


def landmark_loss(evidence: LandmarkEvidence, targets: HandTargets, weights: LossWeights) -> Tensor:
    """2D and 3D terms, weighted as the hand's own, of a landmark stem."""
    confidence = targets.keypoints_2d[..., 2:]
    off = ((evidence.points - targets.keypoints_2d[..., :2]).abs() * confidence).mean()
    depth = _masked_mean((evidence.joints - targets.joints_3d).abs(), targets.joints_3d_weight)
    return weights.keypoints_2d * off + weights.joints_3d * depth


def side_loss(side_logit: Tensor, shows_right: Tensor) -> Tensor:
    """Cross entropy of the side (B,)."""
    return functional.binary_cross_entropy_with_logits(side_logit.float(), shows_right)


def _masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over (B, ...) of values times a weight (B,); the divisor is the full size."""
    return (values.flatten(1).mean(dim=1) * weight).mean()
