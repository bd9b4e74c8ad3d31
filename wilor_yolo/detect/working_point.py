"""How hands are looked for unless told otherwise; imports nothing, so that everybody may ask."""

from __future__ import annotations

__all__ = ["CONFIDENCE", "IMAGE_SIZE", "IOU"]

CONFIDENCE = 0.25  # detector score below which a box is no hand; Ultralytics' own default
# px. Small hands need more, large ones and speed less (weights/MODEL_CARD.md compares sizes).
IMAGE_SIZE = 416
# Overlap above which two boxes are one hand. At Ultralytics' 0.7 a hand may come out twice, with
# and without its wrist.
IOU = 0.5
