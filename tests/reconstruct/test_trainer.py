from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wilor_yolo.errors import HandError
from wilor_yolo.reconstruct.checkpoints import load_network, read_info, save_network
from wilor_yolo.reconstruct.discriminator import PoseDiscriminator
from wilor_yolo.reconstruct.priors import save_prior
from wilor_yolo.reconstruct.released import load_released_discriminator_state
from wilor_yolo.reconstruct.run_files import RunLog, load_state
from wilor_yolo.reconstruct.train_config import TrainConfig
from wilor_yolo.reconstruct.trainer import ReconstructorTrainer
from wilor_yolo.reconstruct.validation import SourceErrors
from wilor_yolo.samples import EncodedSample
from wilor_yolo.shards import write_shards
from wilor_yolo.weights_dir import FREE_HAND, shipped

pytest.importorskip("lightning_fabric")

TINY = """
image_size: 64
visible: 1.0
patch_size: 16
dim: 64
depth: 2
heads: 2
scales: 2
drop_path: 0.2
box_scale: 1.5
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory, make_hand):
    root = tmp_path_factory.mktemp("train")
    (root / "tiny.yaml").write_text(TINY)
    write_shards((make_hand(f"s{i}", i, is_right=i % 3 > 0) for i in range(12)), root / "full")
    weak = (make_hand(f"w{i}", 50 + i, parameters=False, source="weak") for i in range(5))
    write_shards(weak, root / "weak")
    return root


def _config(place, out, **changes):
    values = {
        "network": str(place / "tiny.yaml"),
        "data": [
            {"path": str(place / "full"), "weight": 0.7},
            {"path": str(place / "weak"), "weight": 0.3},
        ],
        "val": str(place / "full"),
        "out": str(out),
        "steps": 6,
        "batch_size": 4,
        "warmup_steps": 2,
        "log_steps": 2,
        "threads": 1,
        "accelerator": "cpu",
        "pretrained": ["trunk.blocks"],
        "tensorboard": False,
        "losses.maps": 0.03,
    }
    return TrainConfig.from_dict(values | changes)


def _same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b


def test_a_run_leaves_weights_logs_and_provenance(place, tmp_path):
    result = ReconstructorTrainer(_config(place, tmp_path / "run")).fit()
    assert result.step == 6 and result.crops_per_second > 0
    assert set(result.errors) == {"test"}
    files = {p.name for p in (tmp_path / "run").iterdir()}
    assert files == {
        "best.safetensors", "config.yaml", "final.safetensors", "last.pt", "log.csv", "val.csv",
        "val.jpg",
    }  # fmt: skip
    info = read_info(result.weights)
    assert info["steps"] == 6 and info["samples"] == 17 and len(info["data_hash"]) == 12
    network = load_network(result.weights)
    assert torch.isfinite(network(torch.zeros(2, 3, 64, 64)).vertices).all()
    rows = RunLog(tmp_path / "run" / "log.csv").rows()
    assert [r["step"] for r in rows] == ["2", "4", "6"]
    assert all(float(r["adversarial"]) > 0 for r in rows)
    assert TrainConfig.from_yaml(tmp_path / "run" / "config.yaml") == _config(
        place, tmp_path / "run"
    )


class _Stop(ReconstructorTrainer):
    """Gets a signal in the middle of a step."""

    number = signal.SIGINT

    def _train_step(self, batch):
        if self.step == 2:
            os.kill(os.getpid(), self.number)
        return super()._train_step(batch)


def test_interrupted_equals_uninterrupted(place, tmp_path):
    ReconstructorTrainer(_config(place, tmp_path / "whole", workers=0)).fit()
    with pytest.raises(KeyboardInterrupt):
        _Stop(_config(place, tmp_path / "parts")).fit()
    assert load_state(tmp_path / "parts" / "last.pt").step == 3
    ReconstructorTrainer(_config(place, tmp_path / "parts")).fit()
    whole = load_state(tmp_path / "whole" / "last.pt")
    parts = load_state(tmp_path / "parts" / "last.pt")
    names = ("network", "average", "maps", "optimiser", "judge", "judge_optimiser", "prior")
    for name in ("step", "average_updates", "shards", "data_hash", *names):
        assert _same(getattr(whole, name), getattr(parts, name)), name
    drop = ("seconds", "crops_per_s")
    logs = [RunLog(tmp_path / d / "log.csv").rows() for d in ("whole", "parts")]
    kept = [[{k: v for k, v in r.items() if k not in drop} for r in rows] for rows in logs]
    assert kept[0][0] == kept[1][0] and kept[0][2] == kept[1][2]


def test_sigterm_saves(place, tmp_path):
    class Terminated(_Stop):
        number = signal.SIGTERM

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        Terminated(_config(place, tmp_path / "run")).fit()
    assert load_state(tmp_path / "run" / "last.pt").step == 3  # the step was finished
    assert signal.getsignal(signal.SIGTERM) is before


def test_kill_9_loses_only_the_time_since_the_last_checkpoint(place, tmp_path):
    code = (
        "import sys; from wilor_yolo.reconstruct.train_config import TrainConfig as C;"
        "from wilor_yolo.reconstruct.trainer import ReconstructorTrainer as T;"
        "T(C.from_yaml(sys.argv[1])).fit()"
    )
    import yaml

    config = _config(place, tmp_path / "run", steps=100_000, checkpoint_minutes=0.0)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config.to_dict()))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(tmp_path / "c.yaml")]
    process = subprocess.Popen(command, env=environment)
    last = tmp_path / "run" / "last.pt"
    deadline = time.monotonic() + 120
    try:
        while not last.is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)  # in the middle of writing one, likely
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    step = load_state(last).step  # readable, whatever moment it was
    trainer = ReconstructorTrainer(_config(place, tmp_path / "run", steps=step + 2))
    assert trainer.step == step > 0
    assert trainer.fit().step == step + 2


@pytest.mark.parametrize(
    ("key", "value"), [("accelerator", "gpus"), ("strategy", "dpp"), ("strategy", "fsdp")]
)
def test_devices_that_lightning_refuses_are_said_in_one_line(place, tmp_path, key, value):
    with pytest.raises(HandError, match=f"{key}={value}.* run everywhere") as caught:
        ReconstructorTrainer(_config(place, tmp_path / "run", **{key: value}))
    assert "\n" not in str(caught.value)


def test_more_gpus_than_there_are_is_said_in_one_line(place, tmp_path, monkeypatch):
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    def fabric(**_):
        raise MisconfigurationException("You requested gpu: [0, 1]\n But your machine has: [0]")

    monkeypatch.setattr("lightning_fabric.Fabric", fabric)
    with pytest.raises(HandError, match=r"requested gpu: \[0, 1\] But .* run everywhere"):
        ReconstructorTrainer(_config(place, tmp_path / "run"))


def test_bad_numbers_stop_and_name_the_samples(place, tmp_path):
    config = _config(place, tmp_path / "run", steps=2)
    ReconstructorTrainer(config).fit()
    before = (tmp_path / "run" / "last.pt").read_bytes()

    class Poisoned(ReconstructorTrainer):
        def _train_step(self, batch):
            batch.crops[1] = float("nan")
            return super()._train_step(batch)

    trainer = Poisoned(_config(place, tmp_path / "run", steps=9))
    # Just the one sample.
    with pytest.raises(
        HandError, match=r"loss is not finite at step 2; samples: \w+/[sw]\d+ \(\S+\.tar\)\. "
    ):
        trainer.fit()
    assert (tmp_path / "run" / "last.pt").read_bytes() == before
    assert all(torch.isfinite(p).all() for p in trainer.network.parameters())


def test_resume_refuses_another_run(place, tmp_path):
    ReconstructorTrainer(_config(place, tmp_path / "run", steps=1)).fit()
    with pytest.raises(HandError, match="resume=true"):
        ReconstructorTrainer(_config(place, tmp_path / "run", resume=False))
    with pytest.raises(HandError, match="other data"):
        ReconstructorTrainer(_config(place, tmp_path / "run", data=str(place / "full")))
    (tmp_path / "other.yaml").write_text(TINY.replace("depth: 2", "depth: 1"))
    with pytest.raises(HandError, match="another network"):
        ReconstructorTrainer(_config(place, tmp_path / "run", network=str(tmp_path / "other.yaml")))


def test_a_finished_run_takes_no_other_keys(place, tmp_path):
    run = tmp_path / "run"
    ReconstructorTrainer(_config(place, run, steps=1, val=[])).fit()
    kept = (run / "config.yaml").read_bytes()
    for change in ({"lr": 0.1}, {"init": "nowhere.safetensors"}, {"losses.betas": 0.5}):
        with pytest.raises(HandError, match=rf"finished run of 1 steps; {next(iter(change))[:6]}"):
            ReconstructorTrainer(_config(place, run, steps=1, val=[], **change))
    assert (run / "config.yaml").read_bytes() == kept
    assert ReconstructorTrainer(_config(place, run, steps=1, val=[], log_steps=1)).fit().step == 1
    assert ReconstructorTrainer(_config(place, run, steps=2, val=[], lr=0.1)).step == 1


def test_a_checkpoint_from_before_a_network_key_goes_on(place, tmp_path):
    run = tmp_path / "run"
    ReconstructorTrainer(_config(place, run, steps=1, val=[])).fit()
    state = torch.load(run / "last.pt", weights_only=True)
    del state["network_config"]["second_look"]
    torch.save(state, run / "last.pt")
    assert ReconstructorTrainer(_config(place, run, steps=2, val=[])).step == 1


def test_a_resumed_run_takes_a_changed_rate_and_decay(place, tmp_path):
    run = tmp_path / "run"
    ReconstructorTrainer(_config(place, run, steps=1, val=[])).fit()
    saved = load_state(run / "last.pt")
    changed = {"lr": 1e-3, "weight_decay": 0.1, "pretrained_lr": 0.5, "val": []}
    resumed = ReconstructorTrainer(_config(place, run, steps=2, **changed))
    fresh = ReconstructorTrainer(_config(place, tmp_path / "fresh", steps=2, **changed))
    for name in ("_optimiser", "_judge_optimiser"):
        ours, theirs = (
            [(g["base_lr"], g["weight_decay"]) for g in getattr(trainer, name).param_groups]
            for trainer in (resumed, fresh)
        )
        assert ours == theirs
    assert _same(resumed._optimiser.state_dict()["state"], saved.optimiser["state"])


def test_a_run_goes_on_however_its_data_is_typed(place, tmp_path, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.chdir(place)
    save_prior(tmp_path / "prior.npz", np.zeros((3, 55), np.float32), "test")
    keys = {"val": [], "prior": f"{tmp_path}/prior.npz"}
    ReconstructorTrainer(_config(place, run, steps=1, data=["full"], **keys)).fit()
    keys["prior"] = f"{tmp_path}/./prior.npz"
    again = ReconstructorTrainer(_config(place, run, steps=2, data=["./full/"], **keys))
    assert again.step == 1 and again.store.listing() == again.store.shards  # no shard is new
    with pytest.raises(HandError, match="trained on other data groups"):
        ReconstructorTrainer(_config(place, run, steps=2, data=[str(place / "full")], **keys))


def test_resume_refuses_other_parameter_groups(place, tmp_path):
    keys = {"out": str(tmp_path / "run"), "val": [], "pretrained": ["trunk.stem", "trunk.blocks.0"]}
    first = ReconstructorTrainer(_config(place, steps=1, **keys)).fit()
    for changes, message in (
        # As many groups of as many parameters: only the names tell.
        ({"pretrained": ["trunk.stem", "trunk.blocks.1"]}, "pretrained=.*blocks.0'], which cannot"),
        ({"frozen": ["trunk.blocks.0"], "init": str(first.weights)}, r"frozen=\[\], which cannot"),
        ({"prior": "poses.npz"}, "prior=null, which cannot"),
        ({"layer_decay": 0.9}, "layer_decay= from or to 1 .*cannot"),
        ({"losses.maps": 0.0}, "losses.maps= to 0 cannot"),
    ):
        with pytest.raises(
            HandError, match=f"{message} change on resume; .* another out= folder.$"
        ):
            ReconstructorTrainer(_config(place, steps=2, **keys | changes))
    again = keys | {"pretrained": ["trunk.blocks.0", "trunk.stem"]}  # in another order
    assert ReconstructorTrainer(_config(place, steps=2, **again)).step == 1


def _larger_hand(path):
    with np.load(shipped(FREE_HAND)) as arrays:
        np.savez(path, **{**arrays, "v_template": arrays["v_template"] * 1.1})
    return str(path)


def test_resume_refuses_another_hand(place, tmp_path):
    hand = _larger_hand(tmp_path / "hand.npz")
    run = tmp_path / "run"
    ReconstructorTrainer(_config(place, run, steps=1, val=[], hand_model=hand)).fit()
    with pytest.raises(HandError, match=f"another hand; give that run's hand_model={hand}"):
        ReconstructorTrainer(_config(place, run, steps=2, val=[]))
    config = _config(place, run, steps=2, val=[], hand_model=hand)
    assert ReconstructorTrainer(config).fit().step == 2
    with pytest.warns(UserWarning, match="final.safetensors was trained with another hand"):
        load_network(run / "final.safetensors")
    # A checkpoint that does not say goes on as before.
    state = torch.load(run / "last.pt", weights_only=True)
    del state["hand"]
    torch.save(state, run / "last.pt")
    assert ReconstructorTrainer(_config(place, run, steps=3, val=[])).step == 2


def test_a_start_from_weights_of_another_hand_is_said(place, tmp_path, recwarn):
    hand = _larger_hand(tmp_path / "hand.npz")
    first = ReconstructorTrainer(_config(place, tmp_path / "a", steps=1, val=[], hand_model=hand))
    init = {"init": str(first.fit().weights), "steps": 1, "val": []}
    ReconstructorTrainer(_config(place, tmp_path / "b", hand_model=hand, **init))
    assert not [w for w in recwarn if "another hand" in str(w.message)]
    with pytest.warns(UserWarning, match="final.safetensors was trained with another hand"):
        ReconstructorTrainer(_config(place, tmp_path / "c", **init))


def test_a_resumed_run_knows_the_best_network_on_disk(place, tmp_path):
    """Killed after a validation, before the next checkpoint."""
    run = tmp_path / "run"
    ReconstructorTrainer(_config(place, run, steps=1)).fit()
    state = load_state(run / "last.pt")  # saved before the validation: it knows of none
    assert state.best is None
    trainer = ReconstructorTrainer(_config(place, run, steps=2))
    assert trainer.best == read_info(run / "best.safetensors")["score"]
    save_network(run / "best.safetensors", trainer.network, {"step": 1, "score": 0.5})
    before = (run / "best.safetensors").read_bytes()
    ReconstructorTrainer(_config(place, run, steps=2)).fit()
    assert (run / "best.safetensors").read_bytes() == before
    (run / "best.safetensors").write_bytes(b"torn")
    assert ReconstructorTrainer(_config(place, run, steps=3)).best == 0.5  # of last.pt


def test_the_best_network_is_the_newest_until_a_validation_gives_a_number(
    place, tmp_path, monkeypatch
):
    nothing = SourceErrors(3, *[math.nan] * 5)
    answers = [nothing, nothing, replace(nothing, error_2d=0.3), nothing]
    monkeypatch.setattr(
        "wilor_yolo.reconstruct.trainer.validate", lambda *_, **__: {"test": answers.pop(0)}
    )
    config = _config(place, tmp_path / "run", val_pictures=0)
    trainer = ReconstructorTrainer(config)
    kept = []
    for trainer.step in range(1, 5):
        trainer._validate()
        kept.append(read_info(config.out + "/best.safetensors"))
        if trainer.step == 2:  # nor does a run that goes on there know a number
            assert trainer.best is None
    assert kept[:2] == [{"step": 1}, {"step": 2}]
    assert kept[2] == kept[3] == {"step": 3, "score": pytest.approx(30)}


def test_a_best_network_that_could_not_be_written_does_not_count(place, tmp_path, monkeypatch):
    nothing = SourceErrors(3, *[math.nan] * 5)
    answers = [replace(nothing, error_2d=error) for error in (0.3, 0.4)]
    monkeypatch.setattr(
        "wilor_yolo.reconstruct.trainer.validate", lambda *_, **__: {"test": answers.pop(0)}
    )

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    trainer = ReconstructorTrainer(_config(place, tmp_path / "run", val_pictures=0))
    with monkeypatch.context() as patch:
        patch.setattr("wilor_yolo.reconstruct.checkpoints.save", full)
        trainer._validate()
    assert trainer.best is None
    trainer._validate()  # worse, but there is room now
    kept = read_info(tmp_path / "run" / "best.safetensors")
    assert trainer.best == kept["score"] == pytest.approx(40)


def test_a_resumed_run_forgets_later_validations(place, tmp_path):
    run = tmp_path / "run"
    ReconstructorTrainer(_config(place, run, steps=1)).fit()
    log = RunLog(run / "val.csv")
    log.append({"step": 5, "source": "test", "pa_mpjpe": 1.0})
    with open(log.path, "a") as handle:
        handle.write("6,10,te")  # killed in the middle of a row
    ReconstructorTrainer(_config(place, run, steps=2)).fit()
    assert [row["step"] for row in log.rows()] == ["1", "2"]


def test_frozen_layers_stay_as_the_initial_weights(place, tmp_path):
    first = ReconstructorTrainer(_config(place, tmp_path / "a", steps=2)).fit()
    frozen = ["trunk.stem", "trunk.blocks.0"]
    config = _config(place, tmp_path / "b", steps=3, init=str(first.weights), frozen=frozen)
    trainer = ReconstructorTrainer(config)
    start = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    trainer.fit()
    for name, value in trainer.network.state_dict().items():
        frozen = name.startswith(("trunk.stem.", "trunk.blocks.0."))
        if name.endswith("weight") and value.ndim > 1:
            assert torch.equal(value, start[name]) == frozen, name


def test_weights_of_another_network_are_refused(place, tmp_path):
    first = ReconstructorTrainer(_config(place, tmp_path / "a", steps=1)).fit()
    (tmp_path / "other.yaml").write_text(TINY.replace("depth: 2", "depth: 1"))
    other = {"network": str(tmp_path / "other.yaml"), "init": str(first.weights)}
    with pytest.raises(HandError, match="another network \\(depth: 2 for 1\\)"):
        ReconstructorTrainer(_config(place, tmp_path / "b", **other))


def test_a_run_without_the_aid_goes_on_without_it(place, tmp_path):
    ReconstructorTrainer(_config(place, tmp_path / "run", steps=1, **{"losses.maps": 0.0})).fit()
    trainer = ReconstructorTrainer(_config(place, tmp_path / "run", steps=2))
    assert trainer.maps is None and trainer.fit().step == 2


def test_minutes_end_the_run(place, tmp_path):
    config = _config(place, tmp_path / "run", steps=100_000, minutes=0.02, val=[])
    result = ReconstructorTrainer(config).fit()
    assert 1 <= result.step < 1000
    assert load_state(tmp_path / "run" / "last.pt").seconds >= 1.2


def test_bf16_trains(place, tmp_path):
    result = ReconstructorTrainer(
        _config(place, tmp_path / "run", steps=2, precision="bf16-mixed", channels_last=True)
    ).fit()
    assert result.step == 2 and result.errors["test"].pa_mpjpe < 60


@pytest.mark.slow
def test_overfits_32_crops(place, tmp_path, make_hand):
    """Under 4 mm PA-MPJPE and 2.5 % of the box in 2D on its own training crops."""
    write_shards((make_hand(f"o{i}", i, is_right=i % 2 > 0) for i in range(32)), tmp_path / "d")
    still = {
        f"augment.{name}": 0.0
        for name in (
            "scale", "rotation_probability", "translation", "brightness", "contrast", "channel",
            "gamma", "grey_probability", "noise_probability", "blur_probability",
            "lowres_probability", "erase_probability",
        )
    }  # fmt: skip
    config = _config(
        place,
        tmp_path / "run",
        data=str(tmp_path / "d"),
        val=str(tmp_path / "d"),
        steps=600,
        batch_size=16,
        lr=1.5e-3,
        ema_decay=0.95,
        log_steps=200,
        **still,
    )
    errors = ReconstructorTrainer(config).fit().errors["test"]
    assert errors.pa_mpjpe < 4.0
    assert errors.error_2d < 0.025


def test_accumulation_and_recomputing_change_nothing(place, tmp_path):
    """But for rounding: without batch statistics and dropped paths."""
    text = TINY.replace("scales: 2", "scales: 0").replace("drop_path: 0.2", "drop_path: 0.0")
    (tmp_path / "plain.yaml").write_text(text)
    states = []
    for name, keys in (("a", {}), ("b", {"accumulate": 2, "recompute": True})):
        config = _config(
            place, tmp_path / name, network=str(tmp_path / "plain.yaml"), steps=3, **keys
        )
        ReconstructorTrainer(config).fit()
        states.append(load_state(tmp_path / name / "last.pt").network)
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=2e-4, atol=2e-4, msg=name)


def test_recomputing_repeats_dropped_paths(place, tmp_path):
    states = []
    for name in ("a", "b"):
        config = _config(place, tmp_path / name, steps=2, recompute=name == "b", val=[])
        ReconstructorTrainer(config).fit()
        states.append(load_state(tmp_path / name / "last.pt").network)
    assert _same(*states)


def test_a_bad_gradient_names_the_samples_of_all_parts(place, tmp_path):
    trainer = ReconstructorTrainer(_config(place, tmp_path / "run", accumulate=2, val=[]))
    trainer.network.pose_head[0].bias.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(HandError, match="the gradient is not finite at step 0") as caught:
        trainer.fit()
    assert str(caught.value).count(".tar)") == 4  # all of the batch, not the last part's two


def test_a_step_with_bad_numbers_is_skipped(place, tmp_path, capsys):
    class Poisoned(ReconstructorTrainer):
        def _train_step(self, batch):
            if self.step == 1:
                before = {k: v.clone() for k, v in self.network.state_dict().items()}
                batch.crops[2] = float("nan")
                assert super()._train_step(batch) == {}
                assert _same(before, self.network.state_dict())  # batch statistics too
                return {}
            return super()._train_step(batch)

    trainer = Poisoned(_config(place, tmp_path / "run", steps=4, on_bad="skip", val=[]))
    assert trainer.fit().step == 4 and trainer.average.updates == 3
    said = capsys.readouterr().out
    assert "not finite at step 1; samples: " in said and said.count("step skipped") == 1
    assert ".tar)" in said


def test_skipped_steps_do_not_lower_the_logged_means(place, tmp_path):
    class Poisoned(ReconstructorTrainer):
        def _train_step(self, batch):
            if self.step % 2:
                batch.crops[:] = float("nan")
            taken.append(super()._train_step(batch))
            return taken[-1]

    taken: list[dict[str, float]] = []
    config = _config(place, tmp_path / "run", steps=4, on_bad="skip", val=[])
    Poisoned(config).fit()
    rows = RunLog(tmp_path / "run" / "log.csv").rows()
    assert [row["step"] for row in rows] == ["2", "4"] and taken[1] == taken[3] == {}
    for row, numbers in zip(rows, (taken[0], taken[2]), strict=True):
        for name in ("loss", "judge", "gradient"):
            assert float(row[name]) == pytest.approx(numbers[name])


def test_skipping_has_an_end(place, tmp_path):
    class Poisoned(ReconstructorTrainer):
        def _train_step(self, batch):
            batch.crops[:] = float("nan")
            return super()._train_step(batch)

    config = _config(place, tmp_path / "run", steps=500, on_bad="skip", val=[])
    with pytest.raises(HandError, match="not finite at step 50;"):
        Poisoned(config).fit()


def test_a_full_disk_leaves_the_last_checkpoint(place, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    ReconstructorTrainer(_config(place, out, steps=2, val=[])).fit()
    before = (out / "last.pt").read_bytes()

    def full(value, handle):
        handle.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("wilor_yolo.reconstruct.run_files.torch.save", full)
    keys = {"steps": 4, "checkpoint_minutes": 0.0, "val": []}
    with pytest.raises(HandError, match=r"step 3 cannot be written .No space left.*is as it was"):
        ReconstructorTrainer(_config(place, out, **keys)).fit()
    assert (out / "last.pt").read_bytes() == before and not list(out.glob("*.part"))
    # Told to go on, it trains to the end, and then says so.
    with pytest.raises(HandError, match="step 4 cannot be written"):
        ReconstructorTrainer(_config(place, out, on_bad="skip", **keys)).fit()
    assert "training goes on" in capsys.readouterr().out
    monkeypatch.undo()
    assert ReconstructorTrainer(_config(place, out, steps=4, val=[])).fit().step == 4


def test_logs_and_best_weights_that_cannot_be_written_are_said(
    place, tmp_path, monkeypatch, capsys
):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunLog, "append", full)
    monkeypatch.setattr("wilor_yolo.reconstruct.checkpoints.save", full)
    out = tmp_path / "run"
    trainer = ReconstructorTrainer(_config(place, out, steps=2, log_steps=1))
    with pytest.raises(HandError, match=r"the trained network cannot be written .No space left"):
        trainer.fit()
    said = capsys.readouterr().out
    for what in ("log.csv not written", "val.csv not written", "the best network, of step 2"):
        assert what in said
    assert trainer.step == 2 and (out / "last.pt").is_file()
    assert not list(out.glob("*.part"))


def test_damaged_samples_and_shards(place, tmp_path, make_hand):
    """Torn, without keypoints, NaN: named with their shard; a stop, or left out."""
    good = [make_hand(f"g{i}", i).encode() for i in range(4)]
    label = json.loads(good[0].label)
    nan = json.dumps(label | {"keypoints_2d": [[math.nan] * 3] * 21}).encode()
    lacking = json.dumps({k: v for k, v in label.items() if k != "keypoints_2d"}).encode()
    for name, bad, message in (
        ("nan", EncodedSample("bad", good[0].jpeg, nan), "bad: keypoints_2d holds NaN"),
        ("lack", EncodedSample("bad", good[0].jpeg, lacking), "bad: label lacks keypoints_2d"),
        ("jpeg", EncodedSample("bad", b"no picture", good[0].label), "bad: the JPEG is damaged"),
    ):
        (shard,) = write_shards([*good, bad], tmp_path / name)
        keys = {"data": str(tmp_path / name), "steps": 3, "val": []}
        with pytest.raises(HandError, match=f"{shard}: sample {message}"):
            ReconstructorTrainer(_config(place, tmp_path / f"{name}-stop", **keys)).fit()
        with pytest.warns(UserWarning, match=f"{shard}: sample {message}"):
            config = _config(place, tmp_path / f"{name}-skip", on_bad="skip", **keys)
            assert ReconstructorTrainer(config).fit().step == 3
    (shard,) = write_shards(good, tmp_path / "torn")
    shard.write_bytes(shard.read_bytes()[:-6000])
    keys = {"data": str(tmp_path / "torn"), "steps": 1, "val": []}
    with pytest.raises(HandError, match=f"{shard}: torn after g"):
        ReconstructorTrainer(_config(place, tmp_path / "torn-stop", **keys))
    with pytest.warns(UserWarning, match="torn after g"):
        trainer = ReconstructorTrainer(
            _config(place, tmp_path / "torn-skip", on_bad="skip", **keys)
        )
    assert len(trainer.store) == 3 and trainer.fit().step == 1


def _damaged(sample, **labels):
    label = json.dumps(json.loads(sample.label) | labels).encode()
    return EncodedSample(sample.key, sample.jpeg, label)


def test_malformed_labels_do_not_end_a_run_that_skips(place, tmp_path, make_hand):
    good = [make_hand(f"g{i}", i).encode() for i in range(4)]
    bad = make_hand("bad", 9).encode()
    for name, sample, message in (
        ("ragged", _damaged(bad, bbox_xyxy=[1, 2, [3], 4]), "bad: bbox_xyxy must be"),
        ("torn", EncodedSample("bad", bad.jpeg, bad.label[:-9]), "bad: the JSON label"),
        ("pose", _damaged(bad, hand_pose=[math.nan] * 45), "bad: hand_pose holds NaN"),
    ):
        (shard,) = write_shards([*good, sample], tmp_path / name)
        keys = {"data": str(tmp_path / name), "steps": 3, "val": []}
        with pytest.raises(HandError, match=f"{shard}: sample {message}.*on_bad=skip"):
            ReconstructorTrainer(_config(place, tmp_path / f"{name}-stop", **keys)).fit()
        with pytest.warns(UserWarning, match=f"{shard}: sample {message}.*skipped"):
            config = _config(place, tmp_path / f"{name}-skip", on_bad="skip", **keys)
            trainer = ReconstructorTrainer(config)
            assert trainer.fit().step == 3
        assert np.isfinite(trainer.prior).all() and len(trainer.prior) == 5 - (name != "ragged")


def test_bad_validation_samples_are_told_at_the_start(place, tmp_path, make_hand):
    good = [make_hand(f"g{i}", i).encode() for i in range(3)]
    bad = EncodedSample("bad", b"no picture", good[0].label)
    (shard,) = write_shards([*good, bad], tmp_path / "val")
    keys = {"val": str(tmp_path / "val"), "steps": 1}
    with pytest.raises(HandError, match=f"{shard}: sample bad: the JPEG.*on_bad=skip"):
        ReconstructorTrainer(_config(place, tmp_path / "stop", **keys))
    with pytest.warns(UserWarning, match=f"{shard}: sample bad: the JPEG is damaged; skipped"):
        trainer = ReconstructorTrainer(_config(place, tmp_path / "skip", on_bad="skip", **keys))
    assert trainer.fit().errors["test"].count == 3


def test_a_failing_last_validation_keeps_the_network(place, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise HandError("no validation today")

    monkeypatch.setattr("wilor_yolo.reconstruct.trainer.validate", fail)
    with pytest.raises(HandError, match="no validation today"):
        ReconstructorTrainer(_config(place, tmp_path / "run", steps=1)).fit()
    assert read_info(tmp_path / "run" / "final.safetensors")["steps"] == 1


@pytest.mark.parametrize("on_bad", ["stop", "skip"])
def test_the_discriminator_takes_no_step_on_bad_numbers(place, tmp_path, capsys, on_bad):
    trainer = ReconstructorTrainer(
        _config(place, tmp_path / "run", steps=3, on_bad=on_bad, val=[], log_steps=1)
    )
    trainer.prior[:] = math.nan  # the rows that its steps draw from
    before = {k: v.clone() for k, v in trainer.judge.state_dict().items()}
    if on_bad == "stop":
        with pytest.raises(HandError, match="discriminator's loss is not finite at step 0"):
            trainer.fit()
    else:
        assert trainer.fit().step == 3
        assert capsys.readouterr().out.count("its step skipped") == 3
        assert all(torch.isfinite(p).all() for p in trainer.network.parameters())
    assert _same(before, trainer.judge.state_dict())


def test_bad_real_poses_of_an_older_checkpoint_are_left_out(place, tmp_path):
    run = tmp_path / "run"
    ReconstructorTrainer(_config(place, run, steps=1, val=[])).fit()
    state = torch.load(run / "last.pt", weights_only=True)
    state["prior"][2] = math.nan
    torch.save(state, run / "last.pt")
    trainer = ReconstructorTrainer(_config(place, run, steps=2, val=[]))
    assert len(trainer.prior) == len(state["prior"]) - 1 and np.isfinite(trainer.prior).all()


def test_tensorboard_and_pictures(place, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    ReconstructorTrainer(_config(place, tmp_path / "run", steps=4, tensorboard=True)).fit()
    log = events.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    log.Reload()
    assert [e.step for e in log.Scalars("train/joints_3d")] == [2, 4]
    assert log.Scalars("val/test/pa_mpjpe")[0].step == 4 and log.Images("val")[0].step == 4
    assert (tmp_path / "run" / "val.jpg").stat().st_size > 10_000


def test_a_discriminator_from_a_released_checkpoint(place, tmp_path, monkeypatch):
    released = Path(__file__).parents[1] / "fixtures" / "released" / "official_tiny.ckpt"
    theirs = load_released_discriminator_state(released)
    for name, layer in zip(("fc1", "fc2", "out"), PoseDiscriminator().pose[::2], strict=True):
        for leaf, value in layer.state_dict().items():  # too large for a fixture
            theirs[f"D_alljoints_{name}.{leaf}"] = value
    read = {str(released): theirs}
    monkeypatch.setattr(
        "wilor_yolo.reconstruct.trainer.load_released_discriminator_state", read.pop
    )
    keys = {"discriminator": str(released), "val": [], "steps": 1}
    trainer = ReconstructorTrainer(_config(place, tmp_path / "run", **keys))
    assert torch.equal(trainer.judge.joint_in.weight, theirs["D_conv1.weight"])
    trainer.fit()  # it learns on; a run that goes on has its own
    resumed = ReconstructorTrainer(_config(place, tmp_path / "run", **keys | {"steps": 2}))
    assert not torch.equal(resumed.judge.joint_in.weight, theirs["D_conv1.weight"])


def test_a_prior_from_a_file(place, tmp_path):
    rows = np.random.default_rng(0).normal(0, 0.1, (7, 55)).astype(np.float32)
    save_prior(tmp_path / "prior.npz", rows, "test")
    config = _config(place, tmp_path / "run", steps=1, prior=str(tmp_path / "prior.npz"), val=[])
    ReconstructorTrainer(config).fit()
    assert np.array_equal(load_state(tmp_path / "run" / "last.pt").prior.numpy(), rows)
