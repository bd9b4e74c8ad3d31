"""``wilor-yolo reconstruct export``, and ``predict`` with the file it writes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from wilor_yolo.cli.main import main
from wilor_yolo.hands import Hands
from wilor_yolo.weights_dir import FREE_HAND, shipped


def test_info_says_which_hand_is_inside(
    tiny_reconstructor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(shipped(FREE_HAND)) as archive:
        arrays = dict(archive)
    np.savez(tmp_path / "thick.npz", **{**arrays, "v_template": 1.1 * arrays["v_template"]})
    for hand, name in (("none", "the free hand"), (tmp_path / "thick.npz", "another hand model")):
        out = tmp_path / "a.onnx"
        keys = [f"weights={tiny_reconstructor}", f"out={out}", f"hand_model={hand}"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it was trained with the free hand
            assert main(["reconstruct", "export", *keys]) == 0
        capsys.readouterr()
        assert main(["weights", "info", f"file={out}"]) == 0
        told = capsys.readouterr().out
        assert "kind: exported reconstructor" in told and f"hand: {name}" in told


@pytest.mark.parametrize("ending", [".onnx", ".xml"])
def test_a_file_that_predict_takes(
    blobs: Any,
    tiny_reconstructor: Path,
    painter: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    ending: str,
) -> None:
    out, photo = tmp_path / f"tiny{ending}", tmp_path / "photo.png"
    cv2.imwrite(str(photo), painter([("left", 20, 30, 80, 110), ("right", 200, 60, 290, 160)]))
    assert main(["reconstruct", "export", f"weights={tiny_reconstructor}", f"out={out}"]) == 0
    assert f"wilor-yolo predict reconstructor={out}" in capsys.readouterr().out
    found = []
    for weights in (tiny_reconstructor, out):
        keys = [f"source={photo}", f"reconstructor={weights}", f"out={tmp_path / 'hands'}"]
        assert main(["predict", *keys, "exist_ok=True", "device=cpu"]) == 0
        found.append(Hands.from_json(tmp_path / "hands" / "hands.json"))
    assert np.abs(found[0].vertices - found[1].vertices).max() < 1e-4
    assert np.abs(found[0].cam_t - found[1].cam_t).max() < 1e-4


def test_the_file_is_named_after_the_weights(
    tiny_reconstructor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["reconstruct", "export", f"weights={tiny_reconstructor}", "format=openvino"]) == 0
    stem = tiny_reconstructor.stem
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{stem}.bin", f"{stem}.xml"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["format=tflite"], "format=tflite should be one of onnx, openvino"),
        (["format=openvino", "out=a.onnx"], "files of format=openvino end in .xml"),
        (["out=a.pt"], "must end in .onnx or .xml"),
        (["weights=gone.safetensors"], "gone.safetensors do not exist"),
        (["half=True"], "reconstruct export has no key 'half'"),
    ],
)
def test_mistakes(
    tiny_reconstructor: Path, capsys: pytest.CaptureFixture[str], keys: list[str], message: str
) -> None:
    given = [] if "weights" in keys[0] else [f"weights={tiny_reconstructor}"]
    assert main(["reconstruct", "export", *given, *keys]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
