"""Find every hand in a picture and rebuild each one in 3D (WiLoR, arXiv 2409.12259).

The public names are loaded when first used, so that ``import wilor_yolo`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .detect.model import HandDetector
    from .errors import HandError
    from .hands import Hands
    from .mano.layer import HandLayer
    from .pipeline import HandPipeline
    from .reconstruct.predictor import HandReconstructor
    from .visualize.annotators import HandAnnotator, MeshAnnotator

__version__ = "0.1.0"

__all__ = [
    "HandAnnotator",
    "HandDetector",
    "HandError",
    "HandLayer",
    "HandPipeline",
    "HandReconstructor",
    "Hands",
    "MeshAnnotator",
]

_HOME = {
    "HandAnnotator": "visualize.annotators",
    "HandDetector": "detect.model",
    "HandError": "errors",
    "HandLayer": "mano.layer",
    "HandPipeline": "pipeline",
    "HandReconstructor": "reconstruct.predictor",
    "Hands": "hands",
    "MeshAnnotator": "visualize.annotators",
}


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
