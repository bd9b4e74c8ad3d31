"""The optional packages of the image engine, with a plain word when they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from ..errors import HandError

__all__ = ["require"]


def require(name: str) -> ModuleType:
    """Import a module of the `synth` extra.

    Raises:
        HandError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise HandError(
            f'making pictures needs {package}: pip install "wilor_yolo[synth]"'
        ) from None
