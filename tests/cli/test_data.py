from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from wilor_yolo.cli.main import main
from wilor_yolo.samples import HandSample
from wilor_yolo.shards import write_shards

BETAS = torch.zeros(1, 10)
YAML = "train: images/train\nval: images/val\nkpt_shape: [21, 3]\nnames: {0: left, 1: right}\n"


def _sample(i: int, size: int = 64) -> HandSample:
    keypoints = np.tile(np.array([[20.0, 30.0, 1.0]], np.float32), (21, 1))
    return HandSample(
        image=np.full((size, size, 3), 5 * i, np.uint8),
        is_right=i % 3 == 0,
        bbox_xyxy=np.array([10, 10, 50, 50], np.float32),
        keypoints_2d=keypoints,
        source="toy",
        key=f"toy{i:03d}",
    )


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    write_shards((_sample(i) for i in range(9)), folder, per_shard=4)
    return folder


@pytest.fixture
def yolo_set(tmp_path: Path) -> Path:
    """One picture a part: train has a left hand and one of unknown side, val a right one."""
    root = tmp_path / "hands"
    hand = "{} 0.5 0.5 0.2 0.2 " + " ".join(["0.5 0.5 2"] * 21)
    bare = "2 0.3 0.3 0.2 0.2 " + " ".join(["0 0 0"] * 21)
    for part, text in (("train", f"{hand.format(0)}\n{bare}\n"), ("val", f"{hand.format(1)}\n")):
        for kind in ("images", "labels"):
            (root / kind / part).mkdir(parents=True)
        grey = np.full((32, 32, 3), 90 if part == "val" else 0, np.uint8)
        cv2.imwrite(str(root / "images" / part / "a.jpg"), grey)
        (root / "labels" / part / "a.txt").write_text(text, encoding="utf-8")
    (root / "data.yaml").write_text(YAML, encoding="utf-8")
    return root


def test_check_shards(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", f"source={shards}"]) == 0
    output = capsys.readouterr().out
    assert "toy                        6 left       3 right" in output
    assert "3 shards, hash " in output and output.endswith("no faults\n")


@pytest.mark.parametrize("key", ["sheet=a.jpg", "sides=mediapipe"])
def test_check_of_shards_passes_over_no_key(
    shards: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    assert main(["data", "check", f"source={shards}", key]) == 2
    assert "= is for a data YAML" in capsys.readouterr().err


def test_check_finds_a_torn_shard(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torn = sorted(shards.glob("*.tar"))[1]
    torn.write_bytes(torn.read_bytes()[:3000])
    assert main(["data", "check", f"source={shards}"]) == 1
    output = capsys.readouterr().out
    assert f"BAD {torn}: torn after" in output and output.endswith("1 faults\n")


def test_check_finds_joints_that_are_no_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from wilor_yolo.mano.layer import HandLayer

    joints = HandLayer.free()(torch.eye(3)[None], torch.eye(3).repeat(1, 15, 1, 1), BETAS).joints
    good = joints[0].numpy().astype(np.float32)
    samples = [
        replace(_sample(0), keypoints_3d=good),
        replace(_sample(1), keypoints_3d=1000 * good),
        replace(_sample(2), keypoints_3d=1000 * good, keypoints_3d_confidence=0.1),
    ]
    write_shards(samples, tmp_path / "shards")
    assert main(["data", "check", f"source={tmp_path / 'shards'}"]) == 1
    output = capsys.readouterr().out
    assert "toy001: bones are 1e+03 times those of a hand in metres (millimetres?)" in output
    assert output.endswith("1 faults\n")


def test_a_flood_of_faults_is_cut(yolo_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (yolo_set / "labels" / "val" / "a.txt").write_text("0 1\n" * 60, encoding="utf-8")
    assert main(["data", "check", f"source={yolo_set / 'data.yaml'}"]) == 1
    output = capsys.readouterr().out
    assert output.count("BAD ") == 50 and output.endswith("...\n60 faults: 60 bad lines\n")


def test_check_a_yolo_set(yolo_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", f"source={yolo_set / 'data.yaml'}"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "train 1 pictures 1 left 0 right 1 of unknown side, 1 with keypoints, "
        "0 without hands, 0 without label file",
        "val 1 pictures 0 left 1 right 0 of unknown side, 1 with keypoints, "
        "0 without hands, 0 without label file",
        "no faults",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2 0.2", "5 values; a hand has 68"),
        ("3 0.5 0.5 0.2 0.2" + 21 * " 0 0 0", "class 3; classes are 0 left, 1 right, 2 unknown"),
        ("0 0.5 0.5 1.2 0.2" + 21 * " 0 0 0", "1.2 lies outside the picture"),
        ("0 0.5 0.5 0 0.2" + 21 * " 0 0 0", "the box has no size"),
        ("0 0.5 0.5 0.2 0.2" + 21 * " 0 0 7", "visibility of a keypoint is not 0, 1 or 2"),
        ("0 0.5 0.5 0.2 x" + 21 * " 0 0 0", "'x' is no number"),
    ],
)
def test_check_finds_a_bad_label(
    yolo_set: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    label = yolo_set / "labels" / "val" / "a.txt"
    label.write_text(f"\n{line}\n", encoding="utf-8")
    assert main(["data", "check", f"source={yolo_set / 'data.yaml'}"]) == 1
    output = capsys.readouterr().out
    assert f"BAD {label}:2: " in output and message in output


def test_check_lists_sides_a_detector_contradicts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data.yaml").write_text(YAML.replace("images/val", "images/train"))
    for kind in ("images", "labels"):
        (tmp_path / kind / "train").mkdir(parents=True)
    left = {"box": [32, 24, 96, 96], "confidence": 0.9, "side": "left"}
    right = {"box": [160, 120, 288, 216], "confidence": 0.9, "side": "right"}
    unsure = {"box": [160, 120, 288, 216], "confidence": 0.3, "side": "left"}
    detections = []
    lines = [" 0.2 0.25 0.2 0.3", " 0.7 0.7 0.4 0.4"]
    names = {"good": ("01", right), "bad": ("02", right), "worse": ("11", unsure)}
    for shade, (name, (classes, second)) in enumerate(names.items()):
        picture = tmp_path / "images" / "train" / f"{name}.png"
        cv2.imwrite(str(picture), np.full((240, 320, 3), 50 * shade, np.uint8))
        detections.append({"file": f"train/{name}.png", "hands": [second, left]})
        rows = [c + line + 21 * " 0 0 0" for c, line in zip(classes, lines, strict=True)]
        (tmp_path / "labels" / "train" / f"{name}.txt").write_text("\n".join(rows))
    theirs = tmp_path / "theirs.json"
    theirs.write_text(json.dumps({"detections": detections}))
    argv = ["data", "check", f"source={tmp_path / 'data.yaml'}", f"sides={theirs}"]
    assert main([*argv, f"sheet={tmp_path / 's.jpg'}", "count=1"]) == 0
    output = capsys.readouterr().out
    assert "worse.txt: hand 1 is labelled right, theirs says left" in output
    # Four labels have a side and a sure detection; one of them is on the sheet.
    assert output.count("LOOK") == 1 and "1 of 4 sides contradicted by theirs" in output
    assert cv2.imread(str(tmp_path / "s.jpg"))[100, 100].tolist() == [100, 100, 100]


def test_check_finds_missing_folders_and_wrong_yaml(
    yolo_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = yolo_set / "data.yaml"
    path.write_text(YAML.replace("images/val", "images/gone"), encoding="utf-8")
    assert main(["data", "check", f"source={path}"]) == 1
    assert "gone is no folder" in capsys.readouterr().out
    path.write_text(YAML + "flip_idx: [0]\n", encoding="utf-8")
    assert main(["data", "check", f"source={path}"]) == 2
    assert "remove flip_idx" in capsys.readouterr().err
    path.write_text("a: [", encoding="utf-8")
    assert main(["data", "check", f"source={path}"]) == 2
    assert "data.yaml is no yaml file" in capsys.readouterr().err
    assert main(["data", "check", f"source={yolo_set / 'gone.yaml'}"]) == 2
    assert "gone.yaml cannot be read: No such file" in capsys.readouterr().err


def test_sheet(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.jpg"
    assert main(["data", "sheet", f"source={shards}", f"out={out}", "count=4", "columns=2"]) == 0
    sheet = cv2.imread(str(out))
    assert sheet.shape == (128, 128, 3)
    assert "4 of 9 samples" in capsys.readouterr().out
    # Samples 0, 2, 4, 6; those at even places are drawn without labels.
    assert sheet[32, 32].tolist() == [0, 0, 0]
    assert np.allclose(sheet[96, 32], 20, atol=3)


def test_a_sheet_is_what_its_name_says(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sheet.PNG"
    assert main(["data", "sheet", f"source={shards}", f"out={out}", "count=1"]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    for name in ("sheet.pdf", "sheet"):
        capsys.readouterr()
        keys = [f"source={shards}", f"out={tmp_path / name}", "count=1"]
        assert main(["data", "sheet", *keys]) == 2
        assert f"{name} is no name of a picture; let it end in" in capsys.readouterr().err


def test_a_sheet_reaches_to_the_end(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.jpg"
    assert main(["data", "sheet", f"source={shards}", f"out={out}", "count=5", "columns=5"]) == 0
    assert np.allclose(cv2.imread(str(out))[32, 4 * 64 + 32], 5 * 7, atol=3)  # of samples 0 to 8


def test_a_sheet_of_a_yolo_set_reaches_to_the_end(yolo_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.jpg"
    for i in range(8):
        grey = np.full((32, 32, 3), 30 * i, np.uint8)
        cv2.imwrite(str(yolo_set / "images" / "val" / f"b{i}.png"), grey)
    keys = [f"source={yolo_set / 'data.yaml'}", f"out={out}", "count=6", "columns=6"]
    assert main(["data", "sheet", *keys]) == 0
    assert cv2.imread(str(out))[:, -20:].max() > 170  # the last is b6, not b3


def test_a_sheet_shows_a_picture_of_two_parts_once(
    yolo_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_yaml, out = yolo_set / "data.yaml", tmp_path / "sheet.jpg"
    count = len(list((yolo_set / "images" / "val").iterdir()))
    data_yaml.write_text(data_yaml.read_text().replace("images/train", "images/val"))
    assert main(["data", "sheet", f"source={data_yaml}", f"out={out}"]) == 0
    assert capsys.readouterr().out.startswith(f"{count} pictures")
    assert main(["data", "sheet", f"source={data_yaml}", f"out={out}", "network=hybrid-s"]) == 2
    assert "network= is for shards" in capsys.readouterr().err


def test_sheet_of_what_a_network_sees(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "seen.jpg"
    keys = ["network=hybrid-s", "training=paper", "count=4", "columns=2"]
    assert main(["data", "sheet", f"source={shards}", f"out={out}", *keys]) == 0
    assert cv2.imread(str(out)).shape == (2 * 192, 2 * 2 * 192, 3)
    assert "4 samples as hybrid-s sees them" in capsys.readouterr().out
    assert main(["data", "sheet", f"source={shards}", "network=hybird-s"]) == 2
    assert "hybrid-s" in capsys.readouterr().err


def test_sheet_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "sheet", f"source={tmp_path}"]) == 2
    assert "no samples" in capsys.readouterr().err


def test_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    records = []
    rng = np.random.default_rng(0)
    for i in range(4):
        cv2.imwrite(str(pictures / f"{i}.jpg"), rng.integers(0, 255, (200, 300, 3), np.uint8))
        points = (np.array([100, 60]) + rng.uniform(0, 80, (21, 2))).tolist()
        hand = {"side": "left", "score": 0.99, "keypoints_px": points}
        records.append(
            {
                "file": f"{i}.jpg",
                "source": "toy",
                "width": 300,
                "height": 200,
                "boxes_xyxy": [[95, 55, 185, 145]],
                "mediapipe": [{**hand, "world_m": rng.uniform(-0.1, 0.1, (21, 3)).tolist()}],
            }
        )
    lines = "\n".join(json.dumps(record) for record in records)
    (pictures / "labels.jsonl").write_text(lines + "\n", encoding="utf-8")

    out = tmp_path / "hands"
    command = ["data", "convert", f"source={pictures}", f"out={out}", "val_share=0.5"]
    assert main(command) == 0
    assert f"detect train data={out / 'data.yaml'}" in capsys.readouterr().out
    assert main(["data", "check", f"source={out / 'data.yaml'}"]) == 0
    checked = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:4] for row in checked[:2]] == [
        ["train", "2", "pictures", "2"],
        ["val", "2", "pictures", "2"],
    ]

    shards = tmp_path / "shards"
    command = ["data", "convert", f"source={pictures}", f"out={shards}", "to=reconstructor"]
    assert main([*command, "val_share=0"]) == 0
    capsys.readouterr()
    assert main(["data", "check", f"source={shards / 'train'}"]) == 0
    assert "4 left" in capsys.readouterr().out


def test_convert_without_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "convert", f"source={tmp_path}", f"out={tmp_path / 'o'}"]) == 2
    assert "labels.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["oxford-hands", "largest=200"], "largest= is for to=reconstructor"),
        (["hamer-npz", "source=x"], "source= is for to=reconstructor"),
        (["freihand", "images=x"], "images= is for coco-wholebody, halpe, hamer-npz, whim"),
        (
            ["scenes", "to=reconstructor", "hand_model=x.pkl"],
            "hand_model= is for freihand, ho3d, h2o3d, interhand, dexycb",
        ),
    ],
)
def test_convert_refuses_keys_a_set_has_no_use_for(
    keys: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    name, *others = keys
    place = [f"root={tmp_path}", f"out={tmp_path / 'out'}"]
    assert main(["data", "convert", name, *place, *others]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
