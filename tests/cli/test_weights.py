from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from wilor_yolo.cli.main import main
from wilor_yolo.cli.weights import sha256


def test_sha256(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(data)
    assert sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_info_of_shipped_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "info"]) == 0
    output = capsys.readouterr().out
    assert "hand_right.npz" in output and "v_template" in output and "sha256: " in output


def test_info_of_networks(
    tiny_reconstructor: Path, tiny_detector: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "info", f"file={tiny_reconstructor}"]) == 0
    output = capsys.readouterr().out
    assert "kind: reconstructor" in output and "dim=32" in output and "steps: 0" in output
    assert sha256(tiny_reconstructor) in output and "trained with: the free hand" in output
    assert main(["weights", "info", f"file={tiny_detector}"]) == 0
    output = capsys.readouterr().out
    assert "kind: detector (PoseModel)" in output and "classes: left, right" in output


def test_info_of_what_is_no_weight_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.bmp").write_bytes(b"BM")
    assert main(["weights", "info", f"file={tmp_path / 'a.bmp'}"]) == 0
    assert "kind: unknown; only .safetensors, .pt, .onnx, .xml and" in capsys.readouterr().out


def test_info_of_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "info", f"file={tmp_path / 'gone.pt'}"]) == 2
    assert "gone.pt does not exist" in capsys.readouterr().err
    assert main(["weights", "info", f"file={tmp_path}"]) == 2
    assert "is a folder; give a file" in capsys.readouterr().err
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    assert main(["weights", "info", f"file={tmp_path / 'bad.npz'}"]) == 2
    assert "bad.npz is damaged" in capsys.readouterr().err
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    assert main(["weights", "info", f"file={tmp_path / 'bad.safetensors'}"]) == 2
    assert "bad.safetensors is damaged" in capsys.readouterr().err


def test_convert_a_detector(
    tiny_detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    source, out = tmp_path / "trained.pt", tmp_path / "small.pt"
    checkpoint = torch.load(tiny_detector, weights_only=False)
    checkpoint["model"].float()
    torch.save({**checkpoint, "train_args": {"imgsz": 64, "data": "/secret/a.yaml"}}, source)
    assert main(["weights", "convert", f"source={source}", f"out={out}"]) == 0
    assert sha256(out) in capsys.readouterr().out
    assert out.stat().st_size < 0.6 * source.stat().st_size
    assert b"/secret/" in source.read_bytes() and b"/secret/" not in out.read_bytes()


def test_a_detector_starts_a_wider_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from wilor_yolo.weights_dir import shipped

    out = tmp_path / "start.pt"
    keys = [f"source={shipped('hand-n.pt')}", "network=yolo11s-hand-pose.yaml", f"out={out}"]
    assert main(["weights", "convert", *keys]) == 0
    assert sha256(out) in capsys.readouterr().out
    assert main(["weights", "info", f"file={out}"]) == 0
    assert "hand-n.pt to yolo11s-hand-pose.yaml" in capsys.readouterr().out


def test_the_body_of_a_detector_starts_a_reconstructor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from wilor_yolo.mano.files import load_hand_model
    from wilor_yolo.reconstruct.config import NetworkConfig
    from wilor_yolo.reconstruct.initialise import initialise_stem
    from wilor_yolo.reconstruct.network import HandNetwork
    from wilor_yolo.weights_dir import weights_dir

    out = tmp_path / "body.pt"
    source = weights_dir() / "hand-n.pt"
    assert main(["weights", "convert", f"source={source}", "part=body", f"out={out}"]) == 0
    assert sha256(out) in capsys.readouterr().out
    network = HandNetwork(NetworkConfig(stem="yolo11n", image_size=64, depth=0, visible=1.0),
                          load_hand_model())  # fmt: skip
    assert not initialise_stem(network, out).left
    assert main(["weights", "info", f"file={out}"]) == 0
    assert "kind: tensors without a network" in capsys.readouterr().out
    first = torch.load(out, weights_only=True)["model.0.conv.weight"]
    assert first.dtype is torch.float32
    torch.testing.assert_close(network.trunk.stem.body.model[0].conv.weight.detach(), first)
    assert main(["weights", "convert", f"source={source}", "part=body", "out=a.safetensors"]) == 2
    assert "the body of a detector is a .pt file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["source=gone.ckpt", "out=a.safetensors"], "gone.ckpt does not exist"),
        (["source={here}", "out=a.onnx"], "should end in .safetensors"),
        (["source={here}", "out=nowhere/a.pt"], "nowhere is no folder; make it first."),
        (["source={here}"], "weights convert needs out="),
        (["source={here}", "out=a.pt", "part=body", "network=x.yaml"], "goes without network="),
        (["source={here}", "out=a.safetensors"], "{here}"),
        (["source={here}", "out=foreign.ckpt"], "out=foreign.ckpt is the source itself"),
        (["source={here}", "out=a.pt", "heads=3"], "heads= is for reconstructors"),
        (["source=reconstructor-s.safetensors", "out=a.safetensors"], "nothing to convert"),
        (["source=reconstructor-s.safetensors", "out=a.pt"], "nothing to convert"),
    ],
)
def test_convert_mistakes(
    keys: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "foreign.ckpt"
    here.write_bytes(b"no checkpoint")
    assert main(["weights", "convert", *(k.format(here=here) for k in keys)]) == 2
    error = capsys.readouterr().err
    assert message.format(here=here) in error and error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["foreign.ckpt"]
