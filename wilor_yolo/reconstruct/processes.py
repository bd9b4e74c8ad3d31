"""What the processes of one training must agree on, each step.

Gradients are averaged by DDP. Clocks, signals and folder listings differ between processes, and
a process that stops alone leaves the others waiting: so the first one's clock and listing count,
and what happens to one happens to all.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["Agreement", "batch_statistics"]

T = TypeVar("T")


class Agreement:
    """Small collective calls; free with one process. All processes must make the same calls."""

    def __init__(self, fabric: Any) -> None:
        self._fabric = fabric
        self.alone = fabric.world_size == 1

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process."""
        return flag if self.alone else bool(self._sum([float(flag)])[0] > 0)

    def tick(self, seconds: float, flag: bool) -> tuple[float, bool]:
        """The first process's seconds, and whether the flag holds in any."""
        if self.alone:
            return seconds, flag
        own = seconds if self._fabric.is_global_zero else 0.0
        total, flags = self._sum([own, float(flag)]).tolist()
        return total, flags > 0

    def first(self, value: T) -> T:
        """The first process's value (anything picklable)."""
        return value if self.alone else self._fabric.broadcast(value, src=0)

    def all_names(self, names: list[str]) -> list[str]:
        """The lists of all processes, one after the other."""
        if self.alone:
            return names
        gathered: list[list[str] | None] = [None] * self._fabric.world_size
        torch.distributed.all_gather_object(gathered, names)
        return [name for part in gathered for name in part or []]

    def _sum(self, values: list[float]) -> Tensor:
        tensor = torch.tensor(values, dtype=torch.float64 if self._exact else torch.float32)
        return self._fabric.all_reduce(tensor.to(self._fabric.device), reduce_op="sum")

    @property
    def _exact(self) -> bool:
        return self._fabric.device.type != "mps"  # which has no float64


def batch_statistics(network: nn.Module) -> dict[str, Tensor]:
    """Copies of the batch statistics, to go back to after a step with bad numbers."""
    return {
        f"{name}.{key}": value.clone()
        for name, module in network.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for key, value in module.named_buffers(recurse=False)
    }
