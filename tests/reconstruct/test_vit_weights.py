"""ViTs of others as starting points: the same features, from every layout we claim to read."""

from __future__ import annotations

import pytest
import timm
import torch

from wilor_yolo.errors import WeightsError
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.initialise import initialise_stem
from wilor_yolo.reconstruct.network import HandNetwork
from wilor_yolo.reconstruct.trunk import Trunk
from wilor_yolo.reconstruct.vit_weights import load_vit_weights

CONFIG = NetworkConfig(dim=48, depth=2, heads=3, image_size=64)


def _trunk(config=CONFIG, seed=0):
    torch.manual_seed(seed)
    return Trunk(config).eval()


def _vitpose_state(trunk):
    """A trunk's own tensors under the names of the ViTPose backbone file."""
    state = {
        name.replace("stem.proj.", "patch_embed.proj."): value
        for name, value in trunk.state_dict().items()
        if name != "token"
    }
    return state


LAYOUTS = {
    "WiLoR's and HaMeR's": lambda state: {"state_dict": state},
    "ViTPose's own": lambda state: {
        "meta": {"epoch": 3},
        "state_dict": {
            **{f"backbone.{name}": value for name, value in state.items()},
            "keypoint_head.final_layer.bias": torch.zeros(17),
        },
    },
    "bare": lambda state: state,
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_vitpose_files_give_the_very_trunk(layout, zipped, tmp_path):
    theirs, ours = _trunk(seed=1), _trunk(seed=2)
    path = tmp_path / "vitpose.pth"
    torch.save(LAYOUTS[layout](_vitpose_state(theirs)), path, _use_new_zipfile_serialization=zipped)
    taken = load_vit_weights(ours, path)
    assert set(taken) == set(theirs.state_dict()) - {"token"}
    for name in taken:
        assert torch.equal(ours.state_dict()[name], theirs.state_dict()[name]), name


def test_timm_vit_gives_the_same_image_tokens(tmp_path):
    """The square grid as it is: our patches through their blocks are their patches."""
    config = NetworkConfig(dim=48, depth=2, heads=3, image_size=64, visible=1.0)
    torch.manual_seed(3)
    theirs = timm.models.VisionTransformer(
        img_size=64, patch_size=16, embed_dim=48, depth=2, num_heads=3, num_classes=5
    ).eval()
    torch.save(theirs.state_dict(), tmp_path / "vit.pth")
    ours = _trunk(config)
    assert "last_norm.weight" in load_vit_weights(ours, tmp_path / "vit.pth")
    crops = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        patches = theirs.patch_embed(crops) + theirs.pos_embed[:, 1:]
        tokens = ours.stem(crops).flatten(2).transpose(1, 2)
        tokens = tokens + ours.pos_embed[:, 1:] + ours.pos_embed[:, :1]
        assert torch.allclose(tokens, patches, atol=1e-5)
        for block in ours.blocks:
            tokens = block(tokens)
        assert torch.allclose(tokens, theirs.blocks(patches), atol=1e-4)


def test_mae_positions_of_a_square_are_interpolated(tmp_path):
    config = NetworkConfig(dim=48, depth=2, heads=3, image_size=128)  # a map of 8 x 6
    side, theirs = 14, _vitpose_state(_trunk(config, seed=1))
    rows = torch.linspace(-1, 1, side)
    grid = torch.zeros(1, side, side, 48)
    grid[..., 0], grid[..., 1] = rows[:, None], rows
    state = {
        **{k.replace("last_norm.", "norm."): v for k, v in theirs.items()},
        "cls_token": torch.ones(1, 1, 48),
        "pos_embed": torch.cat((torch.ones(1, 1, 48), grid.view(1, -1, 48)), 1),
    }
    torch.save({"model": state}, tmp_path / "mae.pth")
    trunk = _trunk(config, seed=2)
    load_vit_weights(trunk, tmp_path / "mae.pth")
    positions = trunk.pos_embed[0, 1:].view(8, 6, 48)
    assert (trunk.pos_embed[0, 0] == 0).all()  # the class token's slot is not for patches
    # Rows grow downwards and columns to the right: nothing is transposed.
    assert (positions[..., 0].diff(dim=0) > 0.1).all() and (
        positions[..., 1].diff(dim=1) > 0.1
    ).all()
    assert positions[..., 0].diff(dim=1).abs().max() < 1e-5


@pytest.mark.parametrize(
    "change", [{"dim": 96}, {"depth": 3}, {"patch_size": 8}], ids=lambda c: next(iter(c))
)
def test_other_sizes_are_refused(change, tmp_path):
    torch.save(_vitpose_state(_trunk()), tmp_path / "a.pth")
    other = NetworkConfig(**{**CONFIG.to_dict(), "mean_cam": CONFIG.mean_cam, **change})
    with pytest.raises(WeightsError, match="does not fit a ViT of width"):
        load_vit_weights(_trunk(other), tmp_path / "a.pth")


def test_deeper_files_lend_their_first_blocks(tmp_path):
    deep = NetworkConfig(dim=48, depth=4, heads=3, image_size=64)
    torch.save(_vitpose_state(_trunk(deep, seed=1)), tmp_path / "a.pth")
    ours = _trunk(seed=2)
    load_vit_weights(ours, tmp_path / "a.pth")
    assert torch.equal(ours.blocks[1].mlp.fc1.weight, _trunk(deep, seed=1).blocks[1].mlp.fc1.weight)


class _Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_files_that_run_something_are_refused_and_do_not_run(zipped, tmp_path):
    marker = tmp_path / "was-run"
    torch.save(
        {"state_dict": {"a": _Runs(str(marker))}},
        tmp_path / "a.pth",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(WeightsError) as caught:
        load_vit_weights(_trunk(), tmp_path / "a.pth")
    assert not marker.exists() and "\n" not in str(caught.value)


def test_missing_and_other_files_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="do not exist"):
        load_vit_weights(_trunk(), tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(WeightsError, match="cannot be read as a state dict"):
        load_vit_weights(_trunk(), tmp_path / "text.pth")
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="no state dict"):
        load_vit_weights(_trunk(), tmp_path / "list.pth")


def test_networks_start_from_them_by_one_call(tmp_path):
    torch.save({"state_dict": _vitpose_state(_trunk(seed=1))}, tmp_path / "a.pth")
    network = HandNetwork(CONFIG, load_hand_model())
    done = initialise_stem(network, tmp_path / "a.pth")
    assert done.left == ("token",)
    assert torch.equal(network.trunk.pos_embed, _trunk(seed=1).pos_embed)
