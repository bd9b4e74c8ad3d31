from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wilor_yolo.cli import data_sets, evaluate_detection
from wilor_yolo.cli.main import main
from wilor_yolo.data.detection_formats import DETECTION_FORMATS
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
    keys = [f"root={tmp_path / 'set'}", "to=reconstructor", f"out={out}"]
    argv = ["data", "convert", "freihand", *keys]
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
    only_pictures = tuple(name for name in DETECTION_FORMATS if name not in FORMATS)
    assert (*FORMATS, *only_pictures, "whim") == data_sets._FORMATS
    assert set(evaluate_detection._FORMATS) == {*DETECTION_FORMATS, "whim"}
    assert main(["data", "convert", "format=freihnd", "root=a", f"out={tmp_path}"]) == 2
    assert "should be one of freihand" in capsys.readouterr().err
    assert main(["data", "convert", "format=ho3d", "rot=a", f"out={tmp_path}"]) == 2
    assert "Did you mean 'root'" in capsys.readouterr().err
    assert main(["data", "--help"]) == 0
    assert "hand_model_left=" in capsys.readouterr().out


def test_whim(tmp_path: Path, capsys: Any) -> None:
    import torch

    from wilor_yolo.annotate.whim import WHIM_DTYPE, write_frame

    layer = HandLayer(load_hand_model())
    turns = torch.eye(3).expand(1, 16, 3, 3)
    joints = layer(turns[:, :1], turns[:, 1:], torch.zeros(1, 10)).joints[0].numpy()
    trans = np.array([-0.2, 0.1, 12.0], np.float32)  # of a pseudo focal length: far away
    camera = np.array([[9000, 0, 160], [0, 9000, 120], [0, 0, 1]], np.float32)

    def entry(side: int, spoil: int = 1) -> np.ndarray:
        hand = np.zeros(1, WHIM_DTYPE)
        own = (joints + trans) * [1 if side else -1, 1, 1]
        seen = own @ camera.T
        points = seen[:, :2] / seen[:, 2:]
        hand["side"], hand["K"], hand["trans"] = side, camera, trans
        hand["trans"][:, 0] *= 1 if side else -1
        hand["joints_3d"] = (own * [spoil, 1, 1]) - hand["trans"] * [spoil, 1, 1]
        hand["trans"] *= [spoil, 1, 1]
        hand["bbox"] = [*points.min(0), *points.max(0)]
        return hand

    folder = tmp_path / "WHIM" / "train" / "anno" / "abc-1_X"
    write_frame(folder / "7.npy", np.concatenate((entry(1), entry(0))))
    write_frame(folder / "8.npy", entry(0, spoil=-1))  # mirrored 3D
    write_frame(folder / "9.npy", entry(1))
    for name in ("7.jpg", "8.npy.jpg"):
        cv2.imwrite(str(folder / name), np.zeros((240, 480, 3), np.uint8))
    out = tmp_path / "shards"
    root = f"root={tmp_path / 'WHIM'}"
    argv = ["data", "convert", "format=whim", root, f"out={out}", "to=reconstructor"]
    assert main(argv) == 1
    captured = capsys.readouterr()
    assert "left out: frames without a picture" in captured.out
    assert "8.npy: sample whim_abc-1_X_8_0: " in captured.err
    assert "left hand's 3D mirrored" in captured.err
    right, left = iterate_samples(out, strict=True)
    assert right.is_right and not left.is_right
    for sample in (right, left):
        assert sample.keypoints_3d_confidence == 0.5
        seen = sample.keypoints_3d @ sample.K.T
        np.testing.assert_allclose(seen[:, :2] / seen[:, 2:], sample.keypoints_2d[:, :2], atol=0.05)
    yolo = tmp_path / "yolo"
    # For a detector the mirrored hand is a box without keypoints.
    assert main([*argv[:4], f"out={yolo}"]) == 0
    output = capsys.readouterr().out
    assert "1 whim, right" in output and "2 whim, left" in output
    assert "1 left out: joints that are missing or outside their box" in output
    lines = [p.read_text().splitlines() for p in sorted((yolo / "labels" / "train").glob("*.txt"))]
    assert [[line[0] for line in own] for own in lines] == [["1", "0"], ["0"]]
    assert lines[0][0].split()[7::3].count("2") >= 8  # some lie outside the picture
    assert lines[1][0].split()[7::3] == ["0"] * 21
    assert main(["data", "check", f"source={yolo / 'data.yaml'}"]) == 1  # black pictures
    assert "1 faults: 1 pictures twice" in capsys.readouterr().out
    assert main([*argv[:3], f"root={tmp_path}", f"out={tmp_path / 'other'}"]) == 2
    assert "holds no <video>/<frame>.npy" in capsys.readouterr().err


def test_labels_for_a_detector(tmp_path: Path, capsys: Any) -> None:
    write_freihand(tmp_path / "set")
    out = tmp_path / "hands"
    argv = ["data", "convert", "freihand", f"root={tmp_path / 'set'}", f"out={out}"]
    assert main(argv) == 1  # the broken one is named and its picture left out
    captured = capsys.readouterr()
    assert "1 pictures" in captured.out and "1 freihand, right" in captured.out
    assert "sample freihand_training_00000001: bones are 1" in captured.err
    sheet = tmp_path / "sheet.jpg"
    source = f"source={out / 'data.yaml'}"
    assert main(["data", "check", source, f"sheet={sheet}"]) == 0
    text = capsys.readouterr().out
    assert "1 right" in text and "val    the pictures of train" in text and "no faults" in text
    assert cv2.imread(str(sheet)).shape == (256, 256, 3)
    assert main(["data", "sheet", source, f"out={tmp_path / 'b.jpg'}", "count=1"]) == 0
    assert cv2.imread(str(tmp_path / "b.jpg")).shape == (256, 256, 3)
    nowhere = tmp_path / "nowhere"
    assert main(["data", "convert", "egohands", "root=a", f"out={nowhere}"]) == 2
    assert "holds no <video>/polygons.mat" in capsys.readouterr().err and not nowhere.exists()
    argv = ["data", "convert", "egohands", "root=a", f"out={out}", "to=reconstructor"]
    assert main(argv) == 2
    assert "egohands has hands without joints or sides" in capsys.readouterr().err
