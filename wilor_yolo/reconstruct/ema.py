"""An exponential moving average of a network's weights and statistics."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["MovingAverage"]


_Module = TypeVar("_Module", bound=nn.Module)


class MovingAverage(Generic[_Module]):
    """Keeps a copy of a module whose weights trail the original's.

    The decay warms up as min(decay, (1 + t) / (10 + t)), so that early weights are forgotten soon.

    Attributes:
        module: the averaged copy, in evaluation mode.
    """

    def __init__(self, module: _Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Follow one optimiser step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averaged: list[Tensor] = []
        current: list[Tensor] = []
        for mine, other in zip(
            self.module.state_dict().values(), module.state_dict().values(), strict=True
        ):
            if mine.is_floating_point():
                averaged.append(mine)
                current.append(other)
            else:
                mine.copy_(other)  # counters of batch norm
        torch._foreach_lerp_(averaged, current, 1 - decay)
