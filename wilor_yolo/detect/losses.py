"""The detector's objective, paper Eq. 5: BCE + DFL + CIoU + an L2 loss on the landmarks.

The first three are Ultralytics' own. What differs from its pose loss: the landmark term, hands
whose side is unknown, and hands whose keypoints are unknown.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid
from ultralytics.utils.loss import v8PoseLoss
from ultralytics.utils.tal import TaskAlignedAssigner

from .options import HandOptions
from .sides import UNSURE_CLASS

__all__ = ["EitherSideBCE", "HandAssigner", "HandPoseLoss", "KeypointL2"]


class KeypointL2(nn.Module):
    """Distance of predicted and true keypoints in units of the hand's size.

    Dividing by the square root of the box area makes one pixel on a hand of 20 px weigh as much
    as ten on one of 200 px, and makes the value independent of the stride a hand is found at.
    """

    def forward(self, pred_kpts: Tensor, gt_kpts: Tensor, kpt_mask: Tensor, area: Tensor) -> Tensor:
        """Mean over hands of the mean distance over a hand's known keypoints.

        Args:
            pred_kpts: (N, 21, 2 or 3), units of the stride.
            gt_kpts: (N, 21, 3), same units.
            kpt_mask: (N, 21), nonzero where the place of a keypoint is known.
            area: (N, 1) box area, units of the stride squared.
        """
        known = (kpt_mask != 0).to(pred_kpts.dtype)
        squared = (pred_kpts[..., :2] - gt_kpts[..., :2]).pow(2).sum(-1)
        distance = (squared + 1e-9).sqrt() / area.clamp(min=1e-3).sqrt()
        return ((distance * known).sum(1) / known.sum(1).clamp(min=1)).mean()


class EitherSideBCE(nn.Module):
    """Binary cross entropy per side, except for hands whose side is unknown.

    Such a hand has half of its target score on each side (see :class:`HandAssigner`). Its loss is
    that of being a hand at all, with P(hand) = 1 - (1 - P(left)) (1 - P(right)). A hand that is
    found is left in peace: counting it as the side the network believes in (the smaller of the two
    losses) would teach the network its own first guesses, which are wrong for whole kinds of views.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Losses (B, A, 2) of `logits` (B, A, 2) for target scores `targets` (B, A, 2)."""
        known = binary_cross_entropy_with_logits(logits, targets, reduction="none")
        either = (targets > 0).all(-1)
        if not either.any():
            return known
        log_none = logsigmoid(-logits[either]).sum(-1)  # log of (1 - P(left)) (1 - P(right))
        log_hand = torch.log((-torch.expm1(log_none)).clamp(min=1e-12))
        target = targets[either].sum(-1)
        loss = -(target * log_hand + (1 - target) * log_none)
        known[either] = loss[:, None] / logits.shape[-1]  # a hand's cells share its loss
        return known


class HandAssigner(TaskAlignedAssigner):
    """Task-aligned assignment that knows hands of unknown side.

    Anchors are chosen for the side the hand looks more like, because the alignment measure needs
    one; their target scores are then split evenly between the sides.
    """

    def _forward(
        self,
        pd_scores: Tensor,
        pd_bboxes: Tensor,
        anc_points: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        mask_gt: Tensor,
        **extra: Any,
    ) -> tuple[Tensor, ...]:
        sides = self.resolve_sides(pd_scores, pd_bboxes, gt_labels, gt_bboxes, mask_gt)
        labels, boxes, scores, foreground, hand = super()._forward(
            pd_scores, pd_bboxes, anc_points, sides, gt_bboxes, mask_gt, **extra
        )
        unsure = (gt_labels.squeeze(-1) == UNSURE_CLASS).gather(1, hand) & foreground.bool()
        scores[unsure] = scores[unsure].sum(-1, keepdim=True) / scores.shape[-1]
        return labels, boxes, scores, foreground, hand

    def resolve_sides(
        self,
        pd_scores: Tensor,
        pd_bboxes: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        mask_gt: Tensor,
    ) -> Tensor:
        """`gt_labels` (B, G, 1) with each UNSURE_CLASS replaced by a side.

        Args:
            pd_scores: (B, A, 2) probabilities.
            pd_bboxes: (B, A, 4) xyxy px.
            gt_labels: (B, G, 1).
            gt_bboxes: (B, G, 4) xyxy px.
            mask_gt: (B, G, 1), zero for padding.
        """
        picture, hand = ((gt_labels == UNSURE_CLASS) & (mask_gt > 0)).squeeze(-1).nonzero().T
        if len(picture) == 0:
            return gt_labels
        overlap = self.iou_calculation(gt_bboxes[picture, hand, None], pd_bboxes[picture])  # (U, A)
        scores = pd_scores[picture]  # (U, A, 2)
        alignment = scores.pow(self.alpha) * overlap.clamp(min=0).pow(self.beta).unsqueeze(-1)
        likelier = alignment.sum(1).argmax(-1)
        resolved = gt_labels.clone()
        resolved[picture, hand, 0] = likelier.to(gt_labels.dtype)
        return resolved


class HandPoseLoss(v8PoseLoss):
    """Criterion of a YOLOv8 or YOLO11 hand detector.

    Args:
        model: the stock PoseModel, with its training arguments as `model.args`.
        options: `keypoint_loss` is used here.
    """

    assigner: TaskAlignedAssigner
    bce: Any  # ours are no subclasses of the stock losses that Ultralytics declares
    keypoint_loss: Any

    def __init__(self, model: nn.Module, options: HandOptions) -> None:
        super().__init__(model)
        stock = self.assigner
        self.assigner = HandAssigner(
            topk=stock.topk,
            num_classes=stock.num_classes,
            alpha=stock.alpha,
            beta=stock.beta,
            stride=stock.stride,
            eps=stock.eps,
            topk2=stock.topk2,
        )
        self.bce = EitherSideBCE()
        self.landmarks = options.keypoint_loss != "none"
        if options.keypoint_loss == "l2":
            self.keypoint_loss = KeypointL2()

    def loss(
        self, preds: dict[str, Tensor], batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The stock sum of terms, in float32 whatever the network computes in.

        In bfloat16, numbers over 256 are even: a box of 300 px would move by pixels.
        """
        exact: Any = {
            name: value.float() if isinstance(value, Tensor) else [level.float() for level in value]
            for name, value in preds.items()
        }
        with torch.autocast(preds["boxes"].device.type, enabled=False):
            return super().loss(exact, batch)

    def calculate_keypoints_loss(
        self,
        masks: Tensor,
        target_gt_idx: Tensor,
        keypoints: Tensor,
        stride_tensor: Tensor,
        target_bboxes: Tensor,
        pred_kpts: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Landmark and visibility terms over the hands whose keypoints somebody labelled.

        A hand without any known keypoint says nothing about visibility either, so it is left out
        of both; shapes as in the stock method.
        """
        nothing = pred_kpts[..., :0].sum()  # keeps the keypoint head in the graph (DDP needs it)
        if not self.landmarks:
            return nothing, nothing
        labelled = (keypoints[..., 2] != 0).any(-1)  # (B, G)
        masks = masks & labelled.gather(1, target_gt_idx)
        if not masks.any():
            return nothing, nothing
        location, visibility = super().calculate_keypoints_loss(
            masks, target_gt_idx, keypoints, stride_tensor, target_bboxes, pred_kpts
        )
        return location + nothing, torch.as_tensor(visibility)
