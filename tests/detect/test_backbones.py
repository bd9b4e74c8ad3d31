from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from wilor_yolo.detect.model import HandDetector

BACKBONES = ["resnet50-hand-pose.yaml", "hrnet-hand-pose.yaml"]


@pytest.mark.parametrize("name", BACKBONES)
def test_strides_and_a_checkpoint_that_opens_restricted(name: str, tmp_path) -> None:
    detector = HandDetector(name)
    assert detector.model.stride.tolist() == [8, 16, 32]
    detector.save(tmp_path / "backbone.pt")
    again = HandDetector(tmp_path / "backbone.pt")
    picture = torch.zeros(1, 3, 64, 64)
    detector.model.eval(), again.model.eval()
    with torch.no_grad():
        first, second = detector.model(picture)[0], again.model(picture)[0]
    torch.testing.assert_close(first, second, atol=0.2, rtol=0.05)  # the file is fp16


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_trains_from_the_command_line(name: str, tmp_path: Path) -> None:
    """In a process of its own: what an earlier test allowed to be loaded must not help."""
    words = [f"model={name}", "data=hand-sample.yaml", "imgsz=64", "epochs=1", "batch=2"]
    words += ["fraction=0.2", "plots=False", "val=False", "workers=0", "device=cpu"]
    words += [f"project={tmp_path}", "name=run"]
    done = subprocess.run(
        [sys.executable, "-m", "wilor_yolo", "detect", "train", *words],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    detector = HandDetector(tmp_path / "run" / "weights" / "best.pt")
    assert detector.model.yaml["hand"]["keypoint_loss"] == "l2"
