"""Start a network from weights that somebody already has on disk: ours, or ImageNet's in a stem.

Nothing is downloaded here: a path is given, tensors are read with ``weights_only=True``, and what
was taken and what was left is returned, so that a trainer can print it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import HandError, WeightsError
from ..mano.files import HandModel
from .checkpoints import load_network
from .network import HandNetwork
from .plain_state import read_plain
from .stems import CnnStem, LandmarkStem, YoloStem
from .vit_weights import load_vit_weights

__all__ = ["Initialised", "initialise_stem", "start_from"]


@dataclass(frozen=True)
class Initialised:
    """Names of the stem's tensors that were `taken` from the file and those that were `left`."""

    taken: tuple[str, ...]
    left: tuple[str, ...]


def start_from(network: HandNetwork, path: Path, hand_model: HandModel) -> str:
    """Start a whole network from a `.safetensors` of ours, else its stem; says what was done.

    Args:
        network: changed in place.
        path: the file.
        hand_model: of the network; weights that were trained with another hand are told.

    Raises:
        WeightsError: the file is missing, damaged or does not fit the stem.
        HandError: it is of another network.
    """
    if path.suffix == ".safetensors":
        start = load_network(path, hand_model)
        try:
            network.load_state_dict(start.state_dict())
        except RuntimeError:
            here, there = network.config.to_dict(), start.config.to_dict()
            other = ", ".join(f"{k}: {there[k]} for {here[k]}" for k in here if here[k] != there[k])
            raise HandError(
                f"init={path} is of another network ({other}); train that one, or start the stem "
                "alone from what `weights convert` writes."
            ) from None
        return f"starts from {path}"
    taken = initialise_stem(network, path)
    left = f"; left as they were: {', '.join(taken.left)}" if taken.left else ""
    return f"stem starts from {path}: {len(taken.taken)} tensors{left}"


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
    state = read_plain(path, "a plain state dict")
    if not isinstance(state, dict):
        raise WeightsError(f"{path} holds no state dict.")
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
