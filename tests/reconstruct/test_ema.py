from __future__ import annotations

import torch
from torch import nn

from wilor_yolo.reconstruct.ema import MovingAverage


def test_average_follows_weights_and_statistics():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = MovingAverage(module, 0.9)
    start = average.module[0].weight.clone()
    with torch.no_grad():
        module[0].weight.add_(1)
    module(torch.randn(8, 2))
    average.update(module)
    decay = 2 / 11  # (1 + 1) / (10 + 1)
    torch.testing.assert_close(average.module[0].weight, start + 1 - decay)
    assert average.module[1].num_batches_tracked == 1
    torch.testing.assert_close(average.module[1].running_mean, module[1].running_mean * (1 - decay))
    for _ in range(300):
        average.update(module)
    torch.testing.assert_close(average.module[0].weight, module[0].weight.detach())


def test_decay_warms_up_to_its_limit():
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    average = MovingAverage(module, 0.5)
    nn.init.ones_(module.weight)
    average.updates = 1000
    average.update(module)
    torch.testing.assert_close(average.module.weight.item(), 0.5)
    assert not average.module.weight.requires_grad and not average.module.training
