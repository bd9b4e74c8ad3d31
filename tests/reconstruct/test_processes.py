from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from wilor_yolo.reconstruct.processes import batch_statistics
from wilor_yolo.reconstruct.run_files import RunLog, load_state
from wilor_yolo.shards import write_shards

pytest.importorskip("lightning_fabric")

# Without batch statistics two processes compute exactly what one computes.
NETWORK = """
image_size: 64
visible: 1.0
patch_size: 16
dim: 48
depth: 1
heads: 2
scales: 0
box_scale: 1.5
"""

# Trains, and leaves what each process saw and ended with.
SCRIPT = """
import os, signal, sys, torch
from wilor_yolo.reconstruct.train_config import TrainConfig
from wilor_yolo.reconstruct.trainer import ReconstructorTrainer

class Watched(ReconstructorTrainer):
    keys = []
    def _train_step(self, batch):
        self.keys.append(batch.names())
        if STOP and self.step == 2 and self.fabric.global_rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)  # one process alone is asked to stop
        if POISON and self.step == 1 and self.fabric.global_rank == 1:
            batch.crops[0] = float("nan")
        return super()._train_step(batch)

config, STOP, POISON = sys.argv[1], sys.argv[2] == "stop", sys.argv[2] == "poison"
trainer = Watched(TrainConfig.from_yaml(config))
try:
    trainer.fit()
finally:
    rank = trainer.fabric.global_rank
    torch.save(
        {"keys": trainer.keys, "step": trainer.step, "network": trainer.network.state_dict(),
         "judge": trainer.judge.state_dict(), "optimiser": trainer._optimiser.state_dict(),
         "average": trainer.average.module.state_dict(), "seconds": trainer.seconds},
        f"{config}.{sys.argv[2]}.{rank}.pt",
    )
"""


def _run(place: Path, name: str, mode: str = "plain", good: bool = True, **changes: object) -> list:
    config = {
        "network": str(place / "net.yaml"), "data": str(place / "d"), "val": str(place / "v"),
        "out": str(place / name), "steps": 4, "batch_size": 4, "warmup_steps": 2, "threads": 1,
        "accelerator": "cpu", "losses": {"maps": 0.0}, "log_steps": 1, "tensorboard": False,
        "pretrained": [], "lr": 1e-3, "final_lr": 1.0,
    } | changes  # fmt: skip
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    script = place / "watched.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script), str(path), mode],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert (done.returncode == 0) == good, done.stdout + done.stderr
    files = sorted(place.glob(f"{name}.yaml.{mode}.*.pt"))
    return [torch.load(file, weights_only=False) for file in files] + [done.stdout + done.stderr]


@pytest.fixture(scope="module")
def place(tmp_path_factory, make_hand):
    root = tmp_path_factory.mktemp("ddp")
    (root / "net.yaml").write_text(NETWORK)
    hands = (make_hand(f"s{i}", i, is_right=i % 3 > 0) for i in range(12))
    write_shards(hands, root / "d", per_shard=6)
    write_shards((make_hand(f"v{i}", 90 + i) for i in range(2)), root / "v")
    return root


def _close(a, b, tolerance):
    assert a.keys() == b.keys()
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.slow
def test_two_processes_are_one_with_the_whole_batch(place):
    """Same samples a step, same weights in both processes, same result as one process."""
    first, second, _ = _run(place, "two", devices=2, strategy="ddp", batch_size=2)
    (whole, _) = _run(place, "one", batch_size=4)
    for part in ("network", "judge", "average"):
        _close(first[part], second[part], 0.0)
    assert first["seconds"] == second["seconds"]
    for step in range(4):
        assert not set(first["keys"][step]) & set(second["keys"][step])
        # Position 2 i + r of the step's samples belongs to process r.
        assert whole["keys"][step][0::2] == first["keys"][step]
        assert whole["keys"][step][1::2] == second["keys"][step]
    _close(first["network"], whole["network"], 2e-4)
    assert load_state(place / "two" / "last.pt").step == 4
    assert len(RunLog(place / "two" / "log.csv").rows()) == 4


KEYS = {"devices": 2, "strategy": "ddp", "batch_size": 2, "val": []}


@pytest.mark.slow
def test_a_stop_of_one_process_stops_all(place):
    *states, text = _run(place, "stop", "stop", good=False, steps=1000, **KEYS)
    assert [state["step"] for state in states] == [3, 3] and "stopped at step 3" in text
    assert load_state(place / "stop" / "last.pt").step == 3


@pytest.mark.slow
def test_bad_numbers_of_one_process_are_everyones(place):
    *states, text = _run(place, "skip", "poison", on_bad="skip", **KEYS)
    _close(states[0]["network"], states[1]["network"], 0.0)
    assert all(torch.isfinite(value).all() for value in states[0]["network"].values())
    bad = states[1]["keys"][1][0]
    assert f"samples: {bad}; step skipped" in text
    # Named by the first process although the second one had it.
    *_, text = _run(place, "halt", "poison", good=False, **KEYS)
    assert f"not finite at step 1; samples: {bad}." in text


def test_batch_statistics_are_copies():
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    kept = batch_statistics(network)
    assert set(kept) == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    network(torch.full((4, 2), 5.0))
    assert not torch.equal(kept["1.running_var"], network[1].running_var)
