"""Activation checkpointing: the transformer's activations are thrown away in the forward pass and
computed again, block by block, in the backward pass. Memory for a third more time."""

from __future__ import annotations

from functools import partial

from torch.utils.checkpoint import checkpoint

from ..errors import HandError
from .network import HandNetwork

__all__ = ["recompute_blocks"]


def recompute_blocks(network: HandNetwork) -> None:
    """Switch it on for a network's transformer blocks, in training mode.

    Results do not change: dropped paths draw the same numbers again.

    Raises:
        HandError: the network has no transformer.
    """
    if not len(network.trunk.blocks):
        raise HandError("recompute=true needs transformer blocks; this network has depth 0.")
    for block in network.trunk.blocks:
        # On the instance: names in the state dict stay as they are.
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
