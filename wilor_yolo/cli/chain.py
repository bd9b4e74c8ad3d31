"""The chain of networks that the keys of ``predict`` ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..pipeline import HandPipeline
    from .predict_options import PredictOptions

__all__ = ["make_pipeline"]


def make_pipeline(options: PredictOptions) -> HandPipeline:
    """Load detector and reconstructor."""
    from ..pipeline import HandPipeline

    return HandPipeline(
        options.detector,
        options.reconstructor,
        hand_model=options.hand_model,
        reconstructor_backend=options.reconstructor_backend,
        hand_length=options.hand_length,
        device=options.device,
        conf=options.conf,
        imgsz=options.imgsz,
        iou=options.iou,
    )
