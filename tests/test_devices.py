"""Devices as people write them."""

from __future__ import annotations

import pytest
import torch

from wilor_yolo.devices import torch_device
from wilor_yolo.errors import HandError


@pytest.mark.parametrize(
    ("wanted", "gpus", "name"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda:0"),
        (torch.device("cpu"), 0, "cpu"),
        (1, 2, "cuda:1"),
        (" CUDA ", 1, "cuda:0"),
        (torch.device("cuda:1"), 2, "cuda:1"),
    ],
)
def test_names(wanted, gpus, name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert torch_device(wanted) == name


@pytest.mark.parametrize("wanted", ["cuda:3", 3, "quantum", None, -1])
def test_devices_that_are_not_there(wanted, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(HandError, match=f"device={wanted}"):
        torch_device(wanted)
