"""Our own files: what is written comes back, and other files are refused in one line."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from wilor_yolo.errors import HandError, WeightsError
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.reconstruct.checkpoints import (
    hand_marks,
    load_network,
    read_info,
    same_hand,
    save_network,
)
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.network import HandNetwork
from wilor_yolo.weights_dir import RECONSTRUCTOR, shipped

CONFIG = NetworkConfig(image_size=64, dim=32, depth=1, heads=2, box_scale=1.7)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = HandNetwork(CONFIG, load_hand_model())
    for module in network.modules():  # statistics as after some training
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.num_batches_tracked += 123456
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


def _outputs(network):
    crops = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network(crops)


def test_exact_round_trip(network, tmp_path):
    save_network(tmp_path / "a.safetensors", network, {"steps": 7, "seed": 1}, half=False)
    again = load_network(tmp_path / "a.safetensors")
    assert again.config == CONFIG and not again.training
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    assert torch.equal(_outputs(again).vertices, _outputs(network).vertices)
    assert read_info(tmp_path / "a.safetensors") == {"steps": 7, "seed": 1}


def test_half_round_trip_keeps_vectors_exact(network, tmp_path):
    path = tmp_path / "a.safetensors"
    save_network(path, network)
    again = load_network(path).state_dict()
    for name, value in network.state_dict().items():
        assert again[name].dtype == value.dtype
        if value.ndim <= 1:  # statistics, counters, means
            assert torch.equal(again[name], value), name
        else:
            assert torch.allclose(again[name], value, rtol=1e-3, atol=1e-6), name
    assert (_outputs(load_network(path)).vertices - _outputs(network).vertices).abs().max() < 5e-3
    save_network(tmp_path / "b.safetensors", network, half=False)
    assert path.stat().st_size < 0.62 * (tmp_path / "b.safetensors").stat().st_size


def test_files_hold_no_hand(network, tmp_path):
    save_network(tmp_path / "a.safetensors", network)
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert not [name for name in file.keys() if name.startswith("hand.")]  # noqa: SIM118


def test_another_hand_can_be_posed(network, tmp_path):
    save_network(tmp_path / "a.safetensors", network, half=False)
    model = load_hand_model()
    larger = replace(model, v_template=model.v_template * 2)
    with pytest.warns(UserWarning, match="another hand model .*hand_model="):
        again = load_network(tmp_path / "a.safetensors", larger)
    assert np.array_equal(again.hand.v_template.numpy(), larger.v_template)


def test_only_another_hand_is_warned_of(network, tmp_path):
    path = tmp_path / "a.safetensors"
    larger = replace(load_hand_model(), v_template=load_hand_model().v_template * 2)
    other = HandNetwork(CONFIG, larger)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_network(shipped(RECONSTRUCTOR))  # older: it does not say
        save_network(path, network)
        load_network(path)
        save_network(path, other)
        load_network(path, larger)
        save_network(path, other, trained=False)
        load_network(path)
    save_network(path, other)
    with pytest.warns(UserWarning, match="a.safetensors was trained with another hand model"):
        load_network(path)


def test_a_rounded_hand_is_the_same_and_another_is_not():
    hand = load_hand_model()
    marks = hand_marks(HandLayer(hand))
    rounded = {name: np.round(getattr(hand, name), 5) for name in ("v_template", "posedirs")}
    assert same_hand(marks, hand_marks(HandLayer(replace(hand, **rounded))))
    for name in ("v_template", "shapedirs", "posedirs", "weights"):
        changed = replace(hand, **{name: getattr(hand, name) * 1.01})
        assert not same_hand(marks, hand_marks(HandLayer(changed))), name
    assert not same_hand(marks, "something else")


def test_writing_leaves_no_pieces_and_replaces_whole(network, tmp_path):
    path = tmp_path / "a.safetensors"
    save_network(path, network, {"steps": 1})
    save_network(path, network, {"steps": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    assert read_info(path)["steps"] == 2


def _broken(network, path, kind):
    save_network(path, network, half=False)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    name = "trunk.last_norm.weight"
    if kind == "missing":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_bytes(b"hello, this is no safetensors file at all")
    elif kind == "cut off":
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "foreign":
        save_file(tensors, path)
    elif kind == "other format":
        save_file(tensors, path, {**metadata, "format": "wilor_yolo.reconstructor/9"})
    elif kind == "no config":
        save_file(tensors, path, {"format": metadata["format"]})
    elif kind == "config is no JSON":
        save_file(tensors, path, {**metadata, "config": "{"})
    elif kind == "config of another network":
        config = json.dumps({**json.loads(metadata["config"]), "dim": 64})
        save_file(tensors, path, {**metadata, "config": config})
    elif kind == "config with unknown key":
        config = json.dumps({**json.loads(metadata["config"]), "dimm": 64})
        save_file(tensors, path, {**metadata, "config": config})
    elif kind == "tensor missing":
        tensors.pop(name)
        save_file(tensors, path, metadata)
    elif kind == "tensor too many":
        save_file({**tensors, "x": torch.zeros(1)}, path, metadata)
    else:
        raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "does not exist|do not exist"),
        ("empty", "damaged or no"),
        ("text", "damaged or no"),
        ("cut off", "damaged or no"),
        ("foreign", "no reconstructor of this package"),
        ("other format", "reconstructor/9"),
        ("no config", "config"),
        ("config is no JSON", "config"),
        ("config of another network", "does not fit"),
        ("config with unknown key", "dimm"),
        ("tensor missing", "does not fit.*last_norm"),
        ("tensor too many", "does not fit"),
    ],
)
def test_other_files_are_refused_in_one_line(network, tmp_path, kind, said):
    path = tmp_path / "a.safetensors"
    _broken(network, path, kind)
    with pytest.raises(HandError, match=said) as caught:
        load_network(path)
    assert isinstance(caught.value, WeightsError) and "\n" not in str(caught.value)
    assert "a.safetensors" in str(caught.value)


def test_files_of_older_versions_get_the_new_defaults(network, tmp_path):
    """A key added to the configuration later must not lock older files out."""
    path = tmp_path / "a.safetensors"
    save_network(path, network, half=False)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    config = json.loads(metadata["config"])
    del config["stem_lag"], config["frame"]
    save_file(tensors, path, {**metadata, "config": json.dumps(config)})
    assert load_network(path).config == CONFIG
