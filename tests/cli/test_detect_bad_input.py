"""Wrong data, labels, weights and keys end in one line that says how to mend it, at once."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from wilor_yolo.cli.main import main

YAML = "path: {root}\ntrain: images/train\nval: images/val\nkpt_shape: [21, 3]\n"
NAMES = "names: {0: left, 1: right}\n"
HAND = " ".join(["0", "0.5", "0.5", "0.4", "0.4", *["0.5 0.5 2"] * 21])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A set of two pictures with a hand each, that a test spoils."""
    root = tmp_path / "set"
    for part in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / part).mkdir(parents=True)
        cv2.imwrite(str(root / "images" / part / "a.png"), np.full((64, 64, 3), 90, np.uint8))
        (root / "labels" / part / "a.txt").write_text(HAND + "\n", encoding="utf-8")
    (root / "data.yaml").write_text(YAML.format(root=root) + NAMES, encoding="utf-8")
    return root / "data.yaml"


@pytest.fixture
def complaint(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """``complaint(*words)``: the one line a command ends with; it must not have trained."""
    from wilor_yolo.detect.trainer import HandTrainer

    def no_training(self) -> None:
        raise AssertionError("it trained")

    monkeypatch.setattr(HandTrainer, "optimizer_step", no_training)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        small = ["imgsz=64", "epochs=1", "batch=2", "workers=0", "device=cpu"]
        code = main(["detect", *words, *(small if words[0] == "train" else ["imgsz=64"])])
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert code == 2 and error.startswith("wilor-yolo: ")
        return error

    return run


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "flip_idx: [0, 1]\n", "remove flip_idx"),
        (NAMES, "names: {0: hand}\n", "add the line `sides: unknown`"),
        (NAMES, "names: {0: right, 1: left}\n", "names must be"),
        (NAMES, "", "key missing"),
        ("[21, 3]", "[17, 3]", "kpt_shape must be [21, 3], not [17, 3]"),
        ("[21, 3]", "[21, 2]", "kpt_shape must be [21, 3], not [21, 2]"),
        ("kpt_shape: [21, 3]\n", "", "kpt_shape"),
        ("val: images/val", "val: images/gone", "images not found"),
        ("val: images/val\n", "", "val"),
        ("path:", "{path", "data.yaml"),
    ],
)
def test_data_yaml(
    part: str, old: str, new: str, message: str, data: Path, tiny_detector: Path, complaint
) -> None:
    text = data.read_text()
    data.write_text(text.replace(old, new) if old else text + new)
    model = [f"model={tiny_detector}"] if part == "val" else []
    assert message in complaint(part, f"data={data}", *model)


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.5 0.5 2 0.5 0.5 2", "0.5 0.5 2", "a.txt:1: 65 values (20 keypoints)"),
        ("0.5 0.5 2", "nan 0.5 2", "a.txt:1: a value is NaN"),
        ("0.5 0.5 2", "320 0.5 2", "a.txt:1: 320 lies outside the picture"),
        ("0 0.5", "3 0.5", "a.txt:1: class 3; classes are 0 left, 1 right, 2 unknown"),
    ],
)
def test_labels(
    part: str, old: str, new: str, message: str, data: Path, tiny_detector: Path, complaint
) -> None:
    for file in data.parent.rglob("*.txt"):
        file.write_text(HAND.replace(old, new, 1) + "\n", encoding="utf-8")
    model = [f"model={tiny_detector}"] if part == "val" else []
    assert message in complaint(part, f"data={data}", *model)


def test_no_labels_at_all(data: Path, complaint) -> None:
    for file in data.parent.rglob("*.txt"):
        file.unlink()
    assert "No labels found" in complaint("train", f"data={data}")


def test_folders_without_pictures(data: Path, complaint) -> None:
    for file in data.parent.rglob("*.png"):
        file.unlink()
    assert "No images found" in complaint("train", f"data={data}")


class _Evil:
    def __reduce__(self):
        return (os.mkdir, (os.environ["WILOR_YOLO_TEST_EVIL"],))


@pytest.mark.parametrize("key", ["model", "pretrained", "resume"])
def test_code_in_weights(key: str, data: Path, complaint, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("WILOR_YOLO_TEST_EVIL", str(tmp_path / "ran"))
    monkeypatch.delenv("ULTRALYTICS_SAFE_LOAD", raising=False)
    torch.save({"model": _Evil()}, tmp_path / "evil.pt", pickle_module=pickle)
    assert "was refused" in complaint("train", f"data={data}", f"{key}={tmp_path / 'evil.pt'}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "resume=True"], "resume=PATH/last.pt"),
        (["train", "resume=gone.pt"], "gone.pt"),
        (["train", "data=hand-sample.yaml", "keypoint_loss=l1"], "choose one of l2, oks, none"),
        (["train", "data=hand-sample.yaml", "mask_prob=2"], "mask_prob=2"),
        (["train", "data=hand-sample.yaml", "stock_flip=True"], "'stock_flips'"),
        (["train", "data=hand-sample.yaml", "model=yolo11x-hand-pose.yaml"], "yolo11n-hand"),
        (["predict", "device=77"], "device=77"),
        (["sheet"], "needs data="),
        (["sheet", "data=hand-sample.yaml", "count=0"], "count=0 should be"),
        (["sheet", "data=gone.yaml"], "gone.yaml"),
        (["sizes", "epochs=3"], "takes imgsz= and model="),
        (["sizes", "model=yolo11q-hand-pose.yaml"], "yolo11n-hand-pose.yaml"),
        (["ablate"], "needs data="),
        (["ablate", "data=hand-sample.yaml", "steps=0"], "steps=0 should be"),
        (["ablate", "data=hand-sample.yaml", "steps=9", "epochs=1"], "not both"),
        (["ablate", "data=hand-sample.yaml", "rows=fulll"], "Did you mean 'full'?"),
        (["ablate", "data=hand-sample.yaml", "grid=table3"], "ours, table2"),
        (["ablate", "data=hand-sample.yaml", "hrne.batch=2"], "Did you mean 'hrnet'?"),
        (["ablate", "data=hand-sample.yaml", "hrnet.bach=2"], "Did you mean 'batch'?"),
        (["ablate", "data=hand-sample.yaml", "model=hand-n.pt"], "a model YAML"),
        (["ablate", "data=hand-sample.yaml", "resume=True"], "without resume="),
    ],
)
def test_keys(words: list[str], message: str, complaint) -> None:
    assert message in complaint(*words)
