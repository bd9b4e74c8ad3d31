"""A training that is killed without warning goes on from its last epoch."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from wilor_yolo.detect.provenance import MADE_BY

ROOT = Path(__file__).parents[2]
KEYS = ["data=hand-sample.yaml", "imgsz=64", "batch=2", "workers=0", "device=cpu", "plots=False"]
KEYS += ["keypoint_loss=none", "mask_prob=0.9", "epochs=3", "name=run", "val=False"]


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "wilor_yolo", "detect", "train", *words]


def _epochs(folder: Path) -> list[int]:
    with open(folder / "results.csv", newline="", encoding="utf-8") as handle:
        return [int(row["epoch"]) for row in csv.DictReader(handle)]


@pytest.mark.slow
def test_kill_9_loses_at_most_an_epoch(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    last = tmp_path / "run" / "weights" / "last.pt"
    process = subprocess.Popen(
        _command(*KEYS, f"project={tmp_path}"),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        waited = time.monotonic() + 400
        while not last.exists() and process.poll() is None and time.monotonic() < waited:
            time.sleep(0.05)
        assert last.exists() and process.poll() is None, "it ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = torch.load(last, weights_only=False)
    reached = kept["epoch"] + 1  # whole epochs that are kept
    before = _epochs(tmp_path / "run")
    assert reached >= 1 and before[-1] - reached <= 1 and before[-1] < 3

    done = subprocess.run(
        _command(f"resume={last}"), env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-2000:]
    epochs = _epochs(tmp_path / "run")
    assert epochs[len(before) :] == list(range(reached + 1, 4))
    checkpoint = torch.load(last, weights_only=False)
    assert checkpoint["epoch"] == -1  # finished
    assert checkpoint["model"].yaml["hand"]["keypoint_loss"] == "none"
    assert checkpoint["model"].yaml["hand"]["mask_prob"] == 0.9
    made_by, before_kill = checkpoint["model"].yaml[MADE_BY], kept["ema"].yaml[MADE_BY]
    assert int(made_by["steps"]) > int(before_kill["steps"])
    assert {**made_by, "steps": ""} == {**before_kill, "steps": ""}  # hashes are those of the run
    assert not list(last.parent.glob("*.part"))
