"""A detector's side, checked on the crop.

Not in the paper, whose detector has the last word on left and right. A wrong side makes a wrong
hand: the network is shown a mirrored one and fits a right hand to it. A network that tells sides
(`NetworkConfig.side`) says so, and the crop is looked at again the other way round.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from .network import NetworkOutput

__all__ = ["settle_sides"]


def settle_sides(
    crops: np.ndarray, output: NetworkOutput, forward: Callable[[np.ndarray], NetworkOutput]
) -> tuple[NetworkOutput, np.ndarray]:
    """Look at crops again that seem to show a left hand, and keep the likelier view.

    Args:
        crops: (N, S, S, 3), or (N, 3, S, S) as released preprocessing gives them; what the network
            saw.
        output: what it said.
        forward: the network, for such crops.

    Returns:
        The result, and (N,) bool which hands are of the other side than was said.
    """
    wrong = np.zeros(len(crops), bool)
    if output.side_logit is None:
        return output, wrong
    doubted = torch.nonzero(output.side_logit < 0).flatten().cpu()
    if not len(doubted):
        return output, wrong
    across = 3 if crops.shape[1] == 3 else 2
    again = forward(np.ascontiguousarray(np.flip(crops[doubted.numpy()], across)))
    assert again.side_logit is not None
    likelier = (again.side_logit > output.side_logit[doubted]).cpu()
    index = torch.arange(len(crops))
    index[doubted[likelier]] = len(crops) + torch.nonzero(likelier).flatten()
    wrong[doubted[likelier].numpy()] = True
    return NetworkOutput.concatenate([output, again]).take(index), wrong
