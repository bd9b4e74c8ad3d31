"""Start a network from ImageNet weights that somebody already has on disk.

Nothing is downloaded here: a path is given, tensors are read with ``weights_only=True``, and what
was taken and what was left is returned, so that a trainer can print it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import WeightsError
from .network import HandNetwork
from .stems import CnnStem, LandmarkStem, YoloStem
from .vit_weights import load_vit_weights

__all__ = ["Initialised", "initialise_stem"]


@dataclass(frozen=True)
class Initialised:
    """Names of the stem's tensors that were `taken` from the file and those that were `left`."""

    taken: tuple[str, ...]
    left: tuple[str, ...]


def initialise_stem(network: HandNetwork, path: str | Path) -> Initialised:
    """Load a classification network's weights into a CNN stem, or a ViT's into the whole trunk.

    For ViTs see :mod:`wilor_yolo.reconstruct.vit_weights`. For CNNs it reads timm state dicts of
    the same model, and torchvision's MobileNetV2 layout (``features.*``), whose modules stand in
    the same order under other names; for a YOLO stem, the state dict of a detector of that
    size; for the landmark stem, what ``weights convert`` made of the published network.

    Args:
        network: its stem, or the trunk of a plain ViT, is changed in place.
        path: a plain state dict.

    Raises:
        WeightsError: the file is missing or does not fit the stem.
    """
    path = Path(path)
    if network.config.stem == "patch":
        names = load_vit_weights(network.trunk, path)
        return Initialised(names, tuple(n for n in network.trunk.state_dict() if n not in names))
    if not path.is_file():
        raise WeightsError(f"initial weights {path} do not exist; check the path.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise anything at all
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{path} is no plain state dict: {reason}") from error
    stem = network.trunk.stem
    assert isinstance(stem, (CnnStem, LandmarkStem, YoloStem))
    body = stem.body
    target = body.state_dict()
    if any(name.startswith("features.") for name in state):
        state = _rename_by_order(state, target, path)
    fitting = {
        name: value
        for name, value in state.items()
        if name in target and value.shape == target[name].shape
    }
    if len(fitting) < len(target) / 2:
        raise WeightsError(
            f"{path} fits only {len(fitting)} of {len(target)} tensors of {network.config.stem}; "
            "give the state dict of that model."
        )
    body.load_state_dict(fitting, strict=False)
    return Initialised(tuple(fitting), tuple(name for name in target if name not in fitting))


def _rename_by_order(
    state: Mapping[str, Tensor], target: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """torchvision and timm build MobileNetV2 in one order; pair tensors one by one."""
    renamed = {}
    for (theirs, value), (ours, slot) in zip(state.items(), target.items(), strict=False):
        if value.shape != slot.shape:
            raise WeightsError(
                f"{path}: {theirs} {tuple(value.shape)} does not fit {ours} {tuple(slot.shape)}; "
                "the file is no MobileNetV2 of width 1."
            )
        renamed[ours] = value
    return renamed
