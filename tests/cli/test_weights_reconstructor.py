"""Foreign reconstructor weights become ours, and what was left behind is told."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
import yaml

from wilor_yolo.cli.main import main
from wilor_yolo.reconstruct.checkpoints import load_network, read_info
from wilor_yolo.reconstruct.released import load_released_hand_model

RELEASED = Path(__file__).resolve().parents[1] / "fixtures" / "released" / "official_tiny.ckpt"
TINY = {"dim": 48, "depth": 2, "heads": 3, "image_size": 64}


def _convert(source: Path, out: Path, *keys: str) -> int:
    return main(["weights", "convert", f"source={source}", f"out={out}", *keys])


def test_the_released_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "ours.safetensors"
    assert _convert(RELEASED, out, "heads=4") == 0
    kept, dropped, last = capsys.readouterr().out.splitlines()
    assert kept.startswith("kept    backbone (") and "refine_net (" in kept
    assert "mano (" in dropped and "backbone" not in dropped
    assert last.startswith(f"{out}: ")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_network(out, load_released_hand_model(RELEASED)).config.heads == 4
        assert main(["weights", "info", f"file={out}"]) == 0  # poses no hand
    with pytest.warns(UserWarning, match="ours.safetensors was trained with another hand model"):
        load_network(out)
    assert out.stat().st_size < 0.7 * RELEASED.stat().st_size  # half storage, no hand


def test_an_assumed_number_of_heads_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _convert(RELEASED, tmp_path / "ours.safetensors") == 0
    assert "heads   16; the file does not say" in capsys.readouterr().out


def test_a_vit_without_its_network_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"model": {"cls_token": torch.zeros(1, 1, 8)}}, tmp_path / "mae.pth")
    assert _convert(tmp_path / "mae.pth", tmp_path / "start.safetensors") == 2
    assert "needs network=" in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["vitpose", "mae"])
def test_a_vit(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from wilor_yolo.reconstruct.config import NetworkConfig
    from wilor_yolo.reconstruct.trunk import Trunk

    trunk = Trunk(NetworkConfig(**TINY))
    state = {n.replace("stem.", "patch_embed."): v for n, v in trunk.state_dict().items()}
    state.pop("token", None)
    if layout == "vitpose":
        state = {f"backbone.{name}": value for name, value in state.items()}
        stored = {"state_dict": {**state, "keypoint_head.bias": torch.zeros(17)}}
    else:
        stored = {"model": {**state, "decoder_embed.bias": torch.zeros(8)}}
    source, network = tmp_path / "vit.pth", tmp_path / "tiny.yaml"
    torch.save(stored, source)
    network.write_text(yaml.safe_dump(TINY))
    out = tmp_path / "start.safetensors"
    assert _convert(source, out, f"network={network}") == 0
    kept, dropped, new, _ = capsys.readouterr().out.splitlines()
    assert "blocks (24)" in kept and "stem (2)" in kept
    head = "keypoint_head" if layout == "vitpose" else "decoder_embed"
    assert dropped == f"dropped {head} (1)"
    assert new.startswith("new     ")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # new weights know no hand
        loaded = load_network(out, load_released_hand_model(RELEASED))
    expected = trunk.blocks[1].mlp.fc1.weight.detach().half().float()
    assert torch.equal(loaded.trunk.blocks[1].mlp.fc1.weight, expected)
    assert read_info(out)["source"] == "vit.pth"


def test_a_vit_of_another_size_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"blocks.0.attn.qkv.weight": torch.zeros(3, 3)}, tmp_path / "vit.pth")
    out = tmp_path / "start.safetensors"
    assert _convert(tmp_path / "vit.pth", out, "network=vit-tiny") == 2
    error = capsys.readouterr().err
    assert "does not fit a ViT of width 192" in error and error.count("\n") == 1
    assert not out.exists()
