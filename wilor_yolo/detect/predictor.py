"""Prediction without boxes around hands that were found already."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from ultralytics.engine.results import Results
from ultralytics.models.yolo.pose import PosePredictor
from ultralytics.utils.metrics import bbox_ioa

__all__ = ["HandPredictor", "around_surer"]

_INSIDE = 0.9  # share of a box that must lie in another one, to be inside it
_SMALLEST = 0.1  # of the outer box's area: a smaller one may be a far hand before a near one


class HandPredictor(PosePredictor):
    """PosePredictor that gives a hand once, where stock suppression may add it with its arm.

    Two such boxes overlap too little for `iou=`. Not with `agnostic_nms=False`, which asks for
    boxes as they come.
    """

    # Ultralytics declares what these are before they are set.
    args: Any

    def postprocess(self, preds: Any, img: Tensor, orig_imgs: Any, **kwargs: Any) -> list[Results]:
        """Stock `Results` without the rows of :func:`around_surer`."""
        results = super().postprocess(preds, img, orig_imgs, **kwargs)
        if not self.args.agnostic_nms:
            return results
        return [
            result[~around_surer(result.boxes.xyxy, result.boxes.conf)]
            if len(result) > 1
            else result
            for result in results
        ]


def around_surer(bbox_xyxy: Tensor, confidence: Tensor) -> Tensor:
    """Which boxes only lie around a hand that another box shows better.

    The reverse, a less sure box inside a surer one, is kept: as often as not it is the hand, and
    the surer one the hand with its arm.

    Args:
        bbox_xyxy: (N, 4) px.
        confidence: (N,).

    Returns:
        (N,) bool, True where a surer box lies inside and fills at least a tenth.
    """
    area = (bbox_xyxy[:, 2:] - bbox_xyxy[:, :2]).clamp(min=0).prod(dim=1)
    boxes = bbox_xyxy.cpu().numpy()
    inside = torch.from_numpy(bbox_ioa(boxes, boxes) > _INSIDE).to(area.device)  # [i, j]: j in i
    fills = area > _SMALLEST * area[:, None]
    smaller_and_surer = (area < area[:, None]) & (confidence > confidence[:, None])
    return (inside & fills & smaller_and_surer).any(dim=1)
