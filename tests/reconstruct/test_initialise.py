"""Stems started from files on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from wilor_yolo.errors import WeightsError
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.initialise import initialise_stem
from wilor_yolo.reconstruct.network import HandNetwork


@pytest.fixture
def network() -> HandNetwork:
    config = NetworkConfig(
        stem="mobilenetv2_100", image_size=64, visible=1.0, dim=48, depth=1, heads=3, scales=0
    )
    return HandNetwork(config, load_hand_model())


def test_torchvision_layout_gives_the_same_features(network: HandNetwork, tmp_path: Path) -> None:
    theirs = torchvision.models.mobilenet_v2(weights=None).eval()
    for module in theirs.modules():  # batch statistics that matter, so that a mix-up shows
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    torch.save(theirs.state_dict(), tmp_path / "mobilenet.pth")

    done = initialise_stem(network, tmp_path / "mobilenet.pth")

    assert not done.left
    crops = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = theirs.features[:18](crops)
        ours = network.trunk.stem.body.eval()(crops)[-1]
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_foreign_state_dict_is_refused(network: HandNetwork, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="fits only 0"):
        initialise_stem(network, tmp_path / "other.pth")


def test_a_missing_file_is_named(network: HandNetwork, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.pth does not exist"):
        initialise_stem(network, tmp_path / "nowhere.pth")


def test_an_empty_file_is_said_in_one_line(network, tmp_path):
    (tmp_path / "empty.pt").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"empty\.pt cannot be read as .* \(EOFError\)"):
        initialise_stem(network, tmp_path / "empty.pt")
