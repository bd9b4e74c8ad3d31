"""Reading detector checkpoints without running code from them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.nn.tasks import torch_safe_load

from ..errors import WeightsError, one_line

__all__ = ["allow_backbones", "read_restricted", "require_network"]

# Network layers of these packages may be named by a checkpoint too (the backbone ablations).
_BACKBONES = ("timm.layers.", "timm.models.", "torchvision.models.", f"{__package__}.backbones.")


def read_restricted(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint that names network layers of Ultralytics and our backbones only.

    Raises:
        WeightsError: the file is missing, damaged, or names anything else.
    """
    if not Path(path).is_file():
        raise WeightsError(f"there is no checkpoint {path}")
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        raise WeightsError(
            f"torch {torch.__version__} cannot read {path} in restricted mode; update torch to 2.6 "
            "or, if you trust the file, set ULTRALYTICS_SAFE_LOAD=0"
        )
    try:
        allow_backbones(path)
        return torch_safe_load(str(path), safe_only=True)[0]
    except Exception as error:  # damaged files fail in many ways, all of them mean the same here
        raise WeightsError(
            f"{path} was refused ({one_line(error)}). Checkpoints are read in restricted mode; "
            "if you trust this one set ULTRALYTICS_SAFE_LOAD=0"
        ) from error


def require_network(path: str | Path) -> None:
    """Check that a checkpoint can be read in restricted mode and holds a network.

    Raises:
        WeightsError: as :func:`read_restricted`, or it holds bare tensors.
    """
    checkpoint = read_restricted(path)
    if checkpoint.get("ema") is None and checkpoint.get("model") is None:
        raise WeightsError(f"{path} holds tensors without a network; give a detector's own .pt")


def allow_backbones(path: str | Path) -> None:
    """Register the backbone classes a checkpoint names; they are layers, not functions."""
    for name in torch.serialization.get_unsafe_globals_in_checkpoint(str(path)):
        if name.startswith(_BACKBONES):
            module, _, attribute = name.rpartition(".")
            layer = getattr(importlib.import_module(module), attribute, None)
            if isinstance(layer, type) and issubclass(layer, (nn.Module, _feature_info())):
                torch.serialization.add_safe_globals([layer])


def _feature_info() -> type:
    from timm.models import FeatureInfo  # a plain record beside the layers

    return FeatureInfo
