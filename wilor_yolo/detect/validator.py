"""Validation of a hand detector: stock box and keypoint precision, unknown sides included."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from ultralytics.models.yolo.pose import PoseValidator
from ultralytics.utils.metrics import box_iou

from ..skeleton import LEFT
from .dataset import build_hand_dataset
from .options import HandOptions
from .sides import UNSURE_CLASS

__all__ = ["HandValidator"]

_SAME_HAND = 0.5  # IoU, the lowest of the average precisions


class HandValidator(PoseValidator):
    """PoseValidator for which a hand of unknown side is right with either answer."""

    # Ultralytics declares what these are before they are set.
    args: Any
    data: Any
    stride: Any

    def build_dataset(
        self, img_path: str, mode: str = "val", batch: int | None = None
    ) -> Dataset[Any]:
        """The data set of a validation outside a training (inside one the trainer builds it)."""
        return build_hand_dataset(
            self.args,
            img_path,
            batch,
            self.data,
            HandOptions(),
            mode=mode,
            rect=False,
            stride=self.stride,
        )

    def update_metrics(self, preds: list[dict[str, Tensor]], batch: dict[str, Any]) -> None:
        """Count one batch; each hand of unknown side takes the side of the surest box on it."""
        unsure = (batch["cls"] == UNSURE_CLASS).view(-1)
        if unsure.any():
            batch = {**batch, "cls": batch["cls"].clone()}
            for index in unsure.nonzero().view(-1).tolist():
                picture = int(batch["batch_idx"][index])
                box = self._pixels(batch["bboxes"][index], batch["img"].shape)
                batch["cls"][index] = self._predicted_side(box, preds[picture])
        super().update_metrics(preds, batch)

    @staticmethod
    def _pixels(box: Tensor, shape: torch.Size) -> Tensor:
        """xyxy px (1, 4) of a normalised xywh box (4,)."""
        corners = torch.cat((box[:2] - box[2:] / 2, box[:2] + box[2:] / 2))
        return (corners * corners.new_tensor([shape[3], shape[2]] * 2))[None]

    @staticmethod
    def _predicted_side(box: Tensor, pred: dict[str, Tensor]) -> float:
        """Side of the surest prediction on it; a missed hand counts as a missed left hand.

        Predictions come surest first.
        """
        if len(pred["cls"]) == 0:
            return float(LEFT)
        on_it = (box_iou(box, pred["bboxes"])[0] >= _SAME_HAND).nonzero().view(-1)
        return float(pred["cls"][on_it[0]]) if len(on_it) else float(LEFT)
