"""How a hand whose side nobody knows travels from a label file to the loss.

Most hand boxes in the world were drawn without saying which hand it is. They still teach where
hands are. In a label file such a hand has the class `UNKNOWN_SIDE`; the data YAML keeps its two
classes. In memory the class becomes `UNSURE_CLASS`, half way between left and right: every
transform that keeps classes beside boxes (mosaic, mixup, box filters, collation) keeps it too, and
the flip ``1 - class`` leaves it alone. The criterion then asks for a hand, of either side.

A stock Ultralytics training refuses the picture ("class 2 exceeds ...") instead of learning a
wrong side from it.
"""

from __future__ import annotations

from ..skeleton import LEFT, RIGHT

__all__ = ["UNKNOWN_SIDE", "UNSURE_CLASS"]

UNKNOWN_SIDE = 2  # class id in label files
UNSURE_CLASS = (LEFT + RIGHT) / 2  # class value in batches
