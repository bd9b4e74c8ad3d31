from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wilor_yolo.cli import data_sets
from wilor_yolo.cli.main import main
from wilor_yolo.data.formats import FORMATS
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.shards import iterate_samples


def write_freihand(root: Path) -> None:
    import torch

    layer = HandLayer(load_hand_model())
    turns = torch.eye(3).expand(1, 16, 3, 3)
    joints = layer(turns[:, :1], turns[:, 1:], torch.zeros(1, 10)).joints[0].double().numpy()
    joints = joints - joints.mean(0) + [0, 0, 0.7]
    pictures = root / "training" / "rgb"
    pictures.mkdir(parents=True)
    rows = [joints.tolist(), (joints * 1000).tolist()]  # the second in millimetres: broken
    camera = [[480.0, 0, 112], [0, 480, 112], [0, 0, 1]]
    (root / "training_xyz.json").write_text(json.dumps(rows))
    (root / "training_K.json").write_text(json.dumps([camera, camera]))
    for i in range(2):
        cv2.imwrite(str(pictures / f"{i:08d}.jpg"), np.zeros((224, 224, 3), np.uint8))


def test_convert_and_check(tmp_path: Path, capsys: Any) -> None:
    write_freihand(tmp_path / "set")
    out = tmp_path / "shards"
    argv = ["data", "convert", "format=freihand", f"root={tmp_path / 'set'}", f"out={out}"]
    assert main(argv) == 1  # done in part
    captured = capsys.readouterr()
    assert "1 freihand" in captured.out and "1 broken samples skipped" in captured.out
    assert "BAD" in captured.err and "millimetres" in captured.err
    assert "training_xyz.json: sample freihand_training_00000001" in captured.err
    (sample,) = iterate_samples(out, strict=True)
    assert sample.source == "freihand"
    assert main(["data", "check", f"source={out}"]) == 0
    assert main(argv) == 2
    assert "holds shards already" in capsys.readouterr().err
    assert main([*argv[:-1], f"out={tmp_path / 'b'}", "strict=True"]) == 2
    assert "freihand_training_00000001" in capsys.readouterr().err


def test_keys(tmp_path: Path, capsys: Any) -> None:
    assert tuple(data_sets._FORMATS) == FORMATS
    assert main(["data", "convert", "format=freihnd", "root=a", f"out={tmp_path}"]) == 2
    assert "should be one of freihand" in capsys.readouterr().err
    assert main(["data", "convert", "format=ho3d", "rot=a", f"out={tmp_path}"]) == 2
    assert "Did you mean 'root'" in capsys.readouterr().err
    assert main(["data", "--help"]) == 0
    assert "hand_model_left=" in capsys.readouterr().out
