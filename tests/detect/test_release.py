from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from ultralytics.nn.tasks import torch_safe_load

from wilor_yolo.detect.model import HandDetector
from wilor_yolo.detect.provenance import MADE_BY
from wilor_yolo.detect.release import release_checkpoint
from wilor_yolo.errors import WeightsError


def test_release_is_small_clean_and_the_same_network(trained: Path, toy_set, tmp_path) -> None:
    source = trained / "weights" / "last.pt"
    target = tmp_path / "hand.pt"
    provenance = {"data": "toy", "seed": "0"}
    digest = release_checkpoint(source, target, provenance)
    content = target.read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    assert [p.name for p in tmp_path.iterdir()] == ["hand.pt"]
    assert release_checkpoint(source, tmp_path / "other.pt", provenance) == digest
    for private in (str(trained), str(toy_set.root), trained.parent.name, "git", "optimizer_state"):
        assert private.encode() not in content
    checkpoint, _ = torch_safe_load(str(target), safe_only=True)
    said = checkpoint["provenance"]
    assert said["data"] == "toy" and said["seed"] == "0" and int(said["steps"]) > 0
    assert len(said["config_hash"]) == len(said["data_hash"]) == 10
    assert MADE_BY not in checkpoint["model"].yaml
    assert set(checkpoint["train_args"]) == {"task", "imgsz", "single_cls"}
    assert {p.dtype for p in checkpoint["model"].parameters()} == {torch.float16}
    assert target.stat().st_size < 7e6
    image = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    results = [
        HandDetector(file).predict(image, conf=1e-4, verbose=False)[0] for file in (source, target)
    ]
    np.testing.assert_allclose(results[0].boxes.data, results[1].boxes.data, atol=1e-4)
    np.testing.assert_allclose(results[0].keypoints.data, results[1].keypoints.data, atol=1e-3)
    assert HandDetector(target).overrides["imgsz"] == 96


def test_a_release_can_be_trained_on(trained: Path, toy_set, toy_settings, tmp_path) -> None:
    release_checkpoint(trained / "weights" / "best.pt", tmp_path / "hand.pt")
    detector = HandDetector(tmp_path / "hand.pt")
    toy_settings |= {"epochs": 1, "project": str(tmp_path), "name": "on", "val": False}
    detector.train(data=str(toy_set.yaml), **toy_settings)
    assert detector.model.yaml["hand"]["mask_prob"] == 0.7


def test_errors(tmp_path) -> None:
    with pytest.raises(WeightsError, match="there is no checkpoint"):
        release_checkpoint(tmp_path / "none.pt", tmp_path / "x.pt")
    (tmp_path / "broken.pt").write_bytes(b"broken")
    with pytest.raises(WeightsError, match=r"broken\.pt was refused"):
        release_checkpoint(tmp_path / "broken.pt", tmp_path / "x.pt")
    torch.save({"model": torch.nn.Linear(2, 2), "train_args": {}}, tmp_path / "linear.pt")
    with pytest.raises(WeightsError, match="not a stock PoseModel"):
        release_checkpoint(tmp_path / "linear.pt", tmp_path / "x.pt")
