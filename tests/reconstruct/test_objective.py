"""Which terms of the losses are switched on."""

from __future__ import annotations

import torch

from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.reconstruct.batches import make_batch
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.losses import LossWeights
from wilor_yolo.reconstruct.network import HandNetwork
from wilor_yolo.reconstruct.objective import Objective


def test_without_maps_their_depths_are_off_too(make_hand) -> None:
    config = NetworkConfig(
        image_size=64, visible=1.0, dim=32, depth=1, heads=2, scales=0, keypoints=True
    )
    network = HandNetwork(config, load_hand_model())
    batch = make_batch([make_hand("a", 1), make_hand("b", 2)], config)

    def cost(maps: float, map_depths: float):
        weights = LossWeights(maps=maps, map_depths=map_depths)
        with torch.no_grad():
            return Objective(weights, network, False, None)(network, batch.crops, batch)

    off = cost(0.0, 2.0)
    assert "maps" not in off.numbers and torch.equal(off.total, cost(0.0, 0.0).total)
    on = cost(0.03, 2.0)
    extra = 0.03 * on.numbers["maps"] + 2.0 * on.numbers["map_depths"]
    torch.testing.assert_close(on.total - off.total, torch.tensor(extra), atol=1e-4, rtol=1e-4)
