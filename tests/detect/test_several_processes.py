"""What Ultralytics hands to the processes of a multi-GPU training, without a GPU."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ultralytics.utils.dist import generate_ddp_file

from wilor_yolo.detect.losses import HandPoseLoss
from wilor_yolo.detect.model import HandDetector
from wilor_yolo.detect.restricted import read_restricted

pytest.importorskip("cloudpickle")


class Ready(Exception):
    """Raised with the trainer when it is about to start."""


def trainer_of(toy_set, settings: dict, folder: Path):
    """The trainer that `detect train` makes, before it trains."""
    detector = HandDetector("yolo11n-hand-pose.yaml")
    found = []

    def stop(self):
        found.append(self)
        raise Ready

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wilor_yolo.detect.trainer.HandTrainer.train", stop)
        with pytest.raises(Ready):
            detector.train(
                data=str(toy_set.yaml),
                **{**settings, "epochs": 1},
                project=str(folder),
                name="ddp",
                keypoint_loss="oks",
                mask_prob=0.7,
            )
    return found[0]


def test_the_generated_script_trains_with_our_trainer(
    toy_set, toy_settings, tmp_path: Path
) -> None:
    """The script a multi-GPU training starts once a GPU, run once here."""
    trainer = trainer_of(toy_set, toy_settings, tmp_path)
    script = Path(generate_ddp_file(trainer))
    try:
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-2000:]
    finally:
        script.unlink()
        script.with_suffix(".pt").unlink()
    model = read_restricted(tmp_path / "ddp" / "weights" / "last.pt")["model"]
    assert model.yaml["hand"]["keypoint_loss"] == "oks" and model.yaml["hand"]["mask_prob"] == 0.7


def test_devices_reach_ultralytics(toy_set, toy_settings, tmp_path: Path, monkeypatch) -> None:
    """device=0,1 starts two processes with our trainer's class in their state."""
    started = []
    monkeypatch.setattr("ultralytics.engine.trainer.select_device", lambda *a, **k: torch.device(0))
    monkeypatch.setattr(
        "ultralytics.engine.trainer.subprocess.run", lambda cmd, check: started.append(cmd)
    )
    kept = []
    monkeypatch.setattr(
        "ultralytics.utils.dist.torch_save", lambda state, path, **how: kept.append(state)
    )
    with pytest.raises(FileNotFoundError, match="no checkpoint"):  # as nobody trained
        HandDetector("yolo11n-hand-pose.yaml").train(
            data=str(toy_set.yaml),
            **{**toy_settings, "device": "0,1"},
            project=str(tmp_path),
            name="two",
        )
    command = started[0]
    assert command[command.index("--nproc_per_node") + 1] == "2"
    assert kept[0]["trainer"].__name__ == "HandTrainer"
    assert kept[0]["model"].yaml["hand"]["keypoint_loss"] == "l2"


WORKER = """
import hashlib, json, os, sys
import torch
from torch import distributed, nn
stock = nn.parallel.DistributedDataParallel
class OnCpu(stock):
    def __init__(self, module, device_ids=None, **settings):
        super().__init__(module, **settings)
nn.parallel.DistributedDataParallel = OnCpu
from ultralytics.utils import DEFAULT_CFG_DICT
from wilor_yolo.detect.trainer import HandTrainer
rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
class Gloo(HandTrainer):
    def _setup_ddp(self):
        distributed.init_process_group("gloo", rank=rank, world_size=count)
    def final_eval(self):
        pass  # it asks CUDA for the device of a process
def tell(trainer):
    model = trainer.model.module
    digest = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters()))
    told = {"weights": digest.hexdigest(), "loss": type(model.criterion).__name__,
            "wrapped": type(trainer.model).__name__, "pictures": len(trainer.train_loader.dataset),
            "batch": trainer.train_loader.batch_size, "finite": bool(torch.isfinite(trainer.loss))}
    open(os.path.join(sys.argv[2], f"{rank}.json"), "w").write(json.dumps(told))
state = torch.load(sys.argv[1], weights_only=False)
trainer = Gloo(cfg={**DEFAULT_CFG_DICT, "save_dir": ""}, overrides=state["args"])
trainer.world_size = count
trainer.model = state["model"]
trainer.add_callback("on_train_end", tell)
trainer.add_callback("on_train_epoch_end", tell)
trainer.train()
"""


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["l2", "none"])
def test_two_processes_train_one_network(
    loss: str, toy_set_unknown, toy_settings, tmp_path: Path
) -> None:
    """Over gloo on the CPU; Ultralytics' own DDP needs GPUs for its process group only."""
    trainer = trainer_of(toy_set_unknown, toy_settings, tmp_path)
    trainer.model.yaml["hand"]["keypoint_loss"] = loss
    state = {"args": vars(trainer.args), "model": trainer.model}
    torch.save(state, tmp_path / "state.pt")
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command += ["--master_port", str(23000 + os.getpid() % 5000), str(tmp_path / "worker.py")]
    done = subprocess.run(
        [*command, str(tmp_path / "state.pt"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr.partition("Traceback")[2][:3000]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["weights"] == second["weights"]
    untrained = b"".join(p.detach().numpy().tobytes() for p in trainer.model.parameters())
    assert first["weights"] != hashlib.sha256(untrained).hexdigest()
    for told in (first, second):
        assert told["loss"] == HandPoseLoss.__name__ and told["wrapped"] == "OnCpu"
        assert told["finite"] and told["batch"] == 2 and told["pictures"] == 12
    assert (tmp_path / "ddp" / "weights" / "last.pt").is_file()
