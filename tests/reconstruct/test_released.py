"""The released network, against numbers its own code computed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wilor_yolo.errors import WeightsError
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.reconstruct.checkpoints import load_network, save_network
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.network import HandNetwork
from wilor_yolo.reconstruct.released import (
    NotReleasedError,
    load_released,
    load_released_discriminator_state,
    load_released_hand_model,
    rename,
)
from wilor_yolo.reconstruct.torch_archive import TorchArchive

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "released"
CHECKPOINT = FIXTURES / "official_tiny.ckpt"
EXPECTED = np.load(FIXTURES / "expected.npz")
TOLERANCE = 1e-5

FIELDS = {  # theirs -> ours
    "coarse_cam": lambda out: out.coarse.cam,
    "coarse_pose6d": lambda out: out.coarse.pose6d,
    "coarse_betas": lambda out: out.coarse.betas,
    "pred_cam": lambda out: out.cam,
    "pred_cam_t": lambda out: out.cam_t_crop,
    "pred_keypoints_3d": lambda out: out.joints,
    "pred_vertices": lambda out: out.vertices,
    "pred_keypoints_2d": lambda out: out.keypoints_2d_crop,
    "mano_global_orient": lambda out: out.global_orient[:, None],
    "mano_hand_pose": lambda out: out.hand_pose,
    "mano_betas": lambda out: out.betas,
}


@pytest.fixture(scope="module")
def network():
    return load_released(CHECKPOINT, heads=4)


@pytest.fixture(scope="module")
def crops():
    seed = int(EXPECTED["img_seed"])
    image = np.random.RandomState(seed).rand(2, 3, 256, 256).astype(np.float32) * 4 - 2
    return torch.from_numpy(image)


@pytest.fixture(scope="module")
def output(network, crops):
    with torch.inference_mode():
        return network(crops)


def _difference(ours, name):
    expected = EXPECTED[name]
    assert tuple(ours.shape) == expected.shape
    return np.abs(ours.numpy() - expected).max() / np.abs(expected).max()


def test_every_expected_field_is_checked():
    assert set(FIELDS) == set(EXPECTED.files) - {"img_seed"}


@pytest.mark.parametrize("name", FIELDS)
def test_agrees_with_the_released_code(output, name):
    assert _difference(FIELDS[name](output), name) < TOLERANCE


@pytest.mark.parametrize(
    "change",
    [
        {"sampling": "aligned"},
        {"aggregation": "mean"},
        {"patch_padding": 0},
        {"cam_origin": "palm"},
        {"heads": 2},
        {"iterations": 2},
        {"refine_cam": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_released_way_matters(network, crops, change):
    """The agreement is none of chance: any other way to read the weights fails it."""
    other = HandNetwork(
        replace(network.config, **change), load_released_hand_model(CHECKPOINT)
    ).eval()
    state = network.state_dict()
    state["trunk.pos_embed"] = state["trunk.pos_embed"][:, : other.trunk.pos_embed.shape[1]]
    other.load_state_dict(state)
    with torch.inference_mode():
        out = other(crops)
    assert max(_difference(read(out), name) for name, read in FIELDS.items()) > 100 * TOLERANCE


def test_sizes_are_read_off_the_tensors(network):
    config = network.config
    assert (config.dim, config.depth, config.heads, config.mlp_ratio) == (64, 2, 4, 4.0)
    assert (config.scales, config.patch_size, config.patch_padding) == (3, 16, 2)
    assert (config.tokens, config.sampling, config.cam_origin) == ("released", "released", "model")
    assert not network.training


def test_mean_parameters_come_from_the_file(network):
    with TorchArchive(CHECKPOINT) as archive:
        state = archive.contents["state_dict"]
        for ours, theirs in (
            ("mean_pose6d", "init_hand_pose"),
            ("mean_betas", "init_betas"),
            ("mean_cam", "init_cam"),
        ):
            value = archive.tensor(theirs, state[f"backbone.{theirs}"]).flatten()
            assert torch.equal(getattr(network, ours), value)
            assert value.abs().sum() > 0


def test_a_given_hand_replaces_the_one_inside(crops, output):
    free = load_hand_model()
    network = load_released(CHECKPOINT, heads=4, hand_model=free)
    assert torch.equal(network.hand.v_template, torch.from_numpy(free.v_template))
    with torch.inference_mode():
        out = network(crops)
    # What the trunk says does not depend on the hand; what is posed does.
    assert torch.equal(out.coarse.pose6d, output.coarse.pose6d)
    assert not torch.allclose(out.vertices, output.vertices, atol=1e-3)


def test_heads_must_divide(network):
    with pytest.raises(WeightsError, match="heads="):
        load_released(CHECKPOINT, heads=5)


def test_discriminator_is_handed_out_under_its_released_names():
    state = load_released_discriminator_state(CHECKPOINT)
    assert state["D_conv1.weight"].shape == (32, 9, 1, 1)
    assert state["betas_fc1.weight"].shape == (10, 10)
    assert not any(name.startswith(("discriminator", "backbone", "mano")) for name in state)


def test_neither_yacs_nor_lightning_is_imported():
    code = (
        f"import sys; from wilor_yolo.reconstruct.released import load_released; "
        f"load_released({str(CHECKPOINT)!r}, heads=4); "
        "bad = {'yacs', 'lightning', 'pytorch_lightning', 'lightning_fabric', 'ultralytics'}; "
        "assert not bad & {name.split('.')[0] for name in sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.mark.parametrize("half", [False, True])
def test_survives_our_own_format(tmp_path, network, crops, output, half):
    path = tmp_path / "converted.safetensors"
    save_network(path, network, {"from": "released"}, half=half)
    again = load_network(path, load_released_hand_model(CHECKPOINT))
    assert again.config == network.config
    with torch.inference_mode():
        out = again(crops)
    limit = 5e-3 if half else TOLERANCE
    assert max(_difference(read(out), name) for name, read in FIELDS.items()) < limit


def test_names_of_the_whole_released_network():
    """Every tensor of the released sizes has its place in the network of `vit-huge.yaml`."""
    config = replace(NetworkConfig.from_yaml("vit-huge"), dim=32, heads=2)
    ours = HandNetwork(config, load_hand_model()).state_dict()
    theirs = {rename(name) for name in _released_names(depth=32)}
    assert theirs == set(ours)


def _released_names(depth):
    pairs = (
        "patch_embed.proj",
        "pose_emb",
        "shape_emb",
        "cam_emb",
        "decpose",
        "decshape",
        "deccam",
    )
    block = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    yield from (f"backbone.{name}" for name in ("pos_embed", "init_cam", "init_hand_pose"))
    yield "backbone.init_betas"
    for leaf in ("weight", "bias"):
        yield from (f"backbone.{name}.{leaf}" for name in (*pairs, "last_norm"))
        yield from (f"backbone.blocks.{i}.{name}.{leaf}" for i in range(depth) for name in block)
        yield f"refine_net.deconv.first_conv.0.{leaf}"
        yield from (f"refine_net.dec_{name}.{leaf}" for name in ("pose", "cam", "shape"))
    for module in ("0.0", "1.0", "1.3"):
        yield f"refine_net.deconv.deconv.{module}.weight"
    for module in ("0.1", "1.1", "1.4"):
        yield from (f"refine_net.deconv.deconv.{module}.{leaf}" for leaf in norm)


def _saved(tmp_path, **changes):
    """The fixture's tensors as a plain checkpoint, some replaced or (None) left out."""
    with TorchArchive(CHECKPOINT) as archive:
        state = {
            name: archive.tensor(name, value)
            for name, value in archive.contents["state_dict"].items()
        }
    for name, value in changes.items():
        name = name.replace("__", ".")
        if value is None:
            state = {key: old for key, old in state.items() if not key.startswith(name)}
        else:
            state[name] = value
    path = tmp_path / "changed.ckpt"
    torch.save({"state_dict": state}, path)
    return path


def test_a_bare_state_dict_is_read_too(tmp_path, network):
    with TorchArchive(CHECKPOINT) as archive:
        state = {
            name: archive.tensor(name, value)
            for name, value in archive.contents["state_dict"].items()
        }
    torch.save(state, tmp_path / "bare.ckpt")
    again = load_released(tmp_path / "bare.ckpt", heads=4)
    for name, value in again.state_dict().items():
        assert torch.equal(value, network.state_dict()[name])


def test_half_precision_files_become_float32(tmp_path):
    path = _saved(tmp_path, backbone__last_norm__weight=torch.ones(64, dtype=torch.float16))
    assert load_released(path, heads=4).trunk.last_norm.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbone__pos_embed": None}, "lacks backbone.pos_embed"),
        ({"refine_net__": None}, "lacks refine_net"),
        ({"backbone__last_norm__bias": None}, "lacks .*trunk.last_norm.bias"),
        ({"backbone__surprise__weight": torch.ones(2)}, "no use for .*surprise"),
        ({"refine_net__other": torch.ones(2)}, "refine_net.other is no tensor"),
        ({"backbone__last_norm__bias": torch.ones(63)}, "shape"),
        ({"backbone__pos_embed": torch.ones(1, 197, 64)}, "shape"),
        ({"backbone__last_norm__bias": torch.full((64,), float("nan"))}, "not finite"),
        ({"mano__v_template": None}, "hand_model="),
        ({"mano__faces_tensor": torch.full((1538, 3), 5000)}, "triangles"),
        ({"mano__v_template": torch.ones(777, 3)}, "shape"),
    ],
)
def test_files_that_do_not_fit_say_why(tmp_path, changes, said):
    with pytest.raises(WeightsError, match=said) as caught:
        load_released(_saved(tmp_path, **changes), heads=4)
    assert "\n" not in str(caught.value)


def test_a_given_hand_makes_up_for_a_missing_one(tmp_path):
    path = _saved(tmp_path, mano__=None, discriminator__=None)
    load_released(path, heads=4, hand_model=load_hand_model())
    with pytest.raises(WeightsError, match="no discriminator"):
        load_released_discriminator_state(path)


def test_other_checkpoints_are_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(NotReleasedError, match="no released WiLoR checkpoint"):
        load_released(tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="state_dict"):
        load_released(tmp_path / "list.pt")
