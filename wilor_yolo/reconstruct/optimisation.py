"""Parameter groups and learning rates."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from ..errors import HandError

__all__ = [
    "freeze",
    "frozen_to_eval",
    "parameter_groups",
    "restore_optimiser",
    "set_learning_rates",
]


def parameter_groups(
    network: nn.Module,
    lr: float,
    weight_decay: float,
    pretrained: tuple[str, ...] = (),
    pretrained_lr: float = 1.0,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """AdamW groups: pretrained parts learn slower; vectors and embeddings are not decayed.

    With layer-wise decay, transformer block i of d (counted from 0) learns at
    ``layer_decay ** (d - i)`` of the rate, stem, tokens and position embedding at
    ``layer_decay ** (d + 1)``; what comes after the blocks (the side, too) at the full rate.

    Args:
        network: all its parameters that require gradients are covered, each once.
        lr: base rate.
        weight_decay: of matrices and filters.
        pretrained: parameter name prefixes trained at ``lr * pretrained_lr``.
        pretrained_lr: see there.
        layer_decay: 1 for one rate.

    Raises:
        HandError: a prefix that fits no parameter.
    """
    names = [name for name, _ in network.named_parameters()]
    for prefix in pretrained:
        if not any(name.startswith(prefix) for name in names):
            raise HandError(f"pretrained={prefix!r} fits no parameter of this network.")
    depth = 1 + max((_block(name) for name in names), default=-1)
    groups: dict[tuple[bool, float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        slow = any(name.startswith(prefix) for prefix in pretrained)
        # Biases, norms, position embeddings and tokens.
        plain = parameter.ndim < 2 or name.endswith(("pos_embed", "token", "keypoints.name"))
        factor = (pretrained_lr if slow else 1.0) * layer_decay ** _height(name, depth)
        groups.setdefault((slow, factor, plain), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": 0.0 if plain else weight_decay,
            "base_lr": lr * factor,
        }
        for (_, factor, plain), parameters in groups.items()
    ]


def _block(name: str) -> int:
    found = re.search(r"(?:^|\.)trunk\.blocks\.(\d+)\.", name)
    return int(found.group(1)) if found else -1


def _height(name: str, depth: int) -> int:
    """How many layers lie between a parameter and the end of the trunk; 0 after the blocks."""
    block = _block(name)
    if block >= 0:
        return depth - block
    below = re.search(r"(?:^|\.)trunk\.(?!last_norm\.|side\.)", name)
    return depth + 1 if below and depth else 0


def set_learning_rates(optimiser: Any, factor: float) -> None:
    """Set every group's rate to its `base_lr` times a factor."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor


def restore_optimiser(optimiser: Any, state: dict[str, Any]) -> None:
    """Load a state dict, but keep the base rates and weight decays that the groups have now.

    Raises:
        HandError: the state is of other parameter groups.
    """
    kept = [(group["base_lr"], group["weight_decay"]) for group in optimiser.param_groups]
    try:
        optimiser.load_state_dict(state)
    except ValueError:
        raise HandError(
            "the checkpoint's optimiser has other groups of parameters: layer_decay= from or to 1 "
            "and losses.maps= to 0 cannot change on resume; give them as that run had them, or "
            "another out= folder."
        ) from None
    for group, (base_lr, weight_decay) in zip(optimiser.param_groups, kept, strict=True):
        group["base_lr"], group["weight_decay"] = base_lr, weight_decay


def freeze(network: nn.Module, names: tuple[str, ...]) -> None:
    """Switch off gradients of the named modules.

    Raises:
        HandError: a name that is no module of the network.
    """
    modules = dict(network.named_modules())
    for name in names:
        if name not in modules:
            raise HandError(f"frozen={name!r} is no module of this network.")
        modules[name].requires_grad_(False)


def frozen_to_eval(network: nn.Module, names: tuple[str, ...]) -> None:
    """Keep the named modules' batch statistics fixed; call after every `network.train()`."""
    for name in names:
        network.get_submodule(name).eval()
