from __future__ import annotations

import pytest
import torch
from torch import nn

from wilor_yolo.errors import HandError
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.network import HandNetwork
from wilor_yolo.reconstruct.optimisation import (
    freeze,
    frozen_to_eval,
    parameter_groups,
    set_learning_rates,
)


def _network():
    return nn.ModuleDict(
        {"stem": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), "head": nn.Linear(4, 2)}
    )


def test_groups_cover_everything_once_with_the_right_rates():
    network = _network()
    groups = parameter_groups(network, 1.0, 0.1, ("stem",), 0.3)
    ids = [id(p) for g in groups for p in g["params"]]
    assert sorted(ids) == sorted(id(p) for p in network.parameters())
    rate = {id(p): (g["base_lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert rate[id(network["stem"][0].weight)] == (0.3, 0.1)
    assert rate[id(network["stem"][1].weight)] == (0.3, 0.0)
    assert rate[id(network["head"].weight)] == (1.0, 0.1)
    assert rate[id(network["head"].bias)] == (1.0, 0.0)
    optimiser = torch.optim.AdamW(groups, lr=1.0)
    set_learning_rates(optimiser, 0.5)
    assert sorted({g["lr"] for g in optimiser.param_groups}) == [0.15, 0.5]
    with pytest.raises(HandError, match="stemm"):
        parameter_groups(network, 1.0, 0.1, ("stemm",))


def test_frozen_modules_keep_weights_and_statistics():
    network = _network()
    freeze(network, ("stem.0", "stem.1"))
    network.train()
    frozen_to_eval(network, ("stem.0", "stem.1"))
    network["stem"](torch.randn(2, 3, 5, 5))
    assert network["stem"][1].num_batches_tracked == 0
    groups = parameter_groups(network, 1.0, 0.1)
    assert sum(p.numel() for g in groups for p in g["params"]) == 10
    with pytest.raises(HandError, match=r"stem\.7"):
        freeze(network, ("stem.7",))


def test_layers_learn_slower_the_deeper_they_lie():
    trunk = torch.nn.Module()
    trunk.stem = torch.nn.Linear(2, 2)
    trunk.blocks = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(3))
    trunk.last_norm, trunk.side = torch.nn.LayerNorm(2), torch.nn.Linear(2, 1)
    network = torch.nn.ModuleDict({"trunk": trunk, "head": torch.nn.Linear(2, 2)})
    rates = {}
    for outer in (network, torch.nn.ModuleDict({"network": network})):  # with the training aid
        groups = parameter_groups(outer, 1.0, 0.1, layer_decay=0.5)
        owner = {id(p): group["base_lr"] for group in groups for p in group["params"]}
        rates = {name: owner[id(p)] for name, p in network.named_parameters()}
        assert [rates[f"trunk.blocks.{i}.weight"] for i in range(3)] == [0.125, 0.25, 0.5]
        assert rates["trunk.stem.bias"] == 0.0625
        assert rates["head.weight"] == rates["trunk.last_norm.bias"] == 1.0
        assert rates["trunk.side.weight"] == 1.0


def test_embeddings_are_not_decayed():
    config = NetworkConfig(
        image_size=64, visible=1.0, dim=32, depth=1, heads=2, scales=0, keypoints=True
    )
    network = HandNetwork(config, load_hand_model())
    groups = parameter_groups(network, 1.0, 0.1)
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    trunk = network.trunk
    for embedding in (trunk.pos_embed, trunk.token, trunk.keypoints.name):
        assert id(embedding) not in decayed
    assert id(trunk.keypoints.feature.weight) in decayed
