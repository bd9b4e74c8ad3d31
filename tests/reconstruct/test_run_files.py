from __future__ import annotations

import pickle

import pytest
import torch

from wilor_yolo.errors import WeightsError
from wilor_yolo.reconstruct.run_files import RunLog, TrainState, load_state, save_state


def _state():
    tensors = {"w": torch.arange(4.0)}
    return TrainState(
        step=7,
        seconds=1.5,
        network=tensors,
        average=tensors,
        average_updates=7,
        optimiser={"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
        judge={},
        judge_optimiser={},
        best=None,
        config={"data": [{"path": "x", "weight": None}]},
        network_config={"dim": 4},
        shards=[["a.tar"]],
        data_hash="abc",
        prior=torch.zeros(2, 55),
    )


def test_state_round_trip_is_whole_or_absent(tmp_path):
    path = tmp_path / "last.pt"
    save_state(path, _state())
    back = load_state(path)
    assert back.step == 7 and back.shards == [["a.tar"]]
    assert back.config["data"][0]["weight"] is None
    torch.testing.assert_close(back.network["w"], torch.arange(4.0))
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    save_state(path, _state())
    before = path.read_bytes()

    def broken(data, handle):
        handle.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        save_state(path, _state())
    assert path.read_bytes() == before


def test_foreign_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "x.pt"
    with pytest.raises(WeightsError, match="does not exist"):
        load_state(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_state(path)
    torch.save({"model": 1}, path)
    with pytest.raises(WeightsError, match="no training checkpoint"):
        load_state(path)

    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(WeightsError):
        load_state(path)


def test_log_grows_columns_and_forgets_the_future(tmp_path):
    log = RunLog(tmp_path / "log.csv")
    log.append({"step": 1, "loss": 0.5})
    log.append({"step": 2, "loss": 0.4})
    log.append({"step": 3, "loss": 0.3, "lr": 1e-3})
    assert [r["lr"] for r in log.rows()] == ["", "", "0.001"]
    log.keep_until(2)
    assert [r["step"] for r in log.rows()] == ["1", "2"]
    log.append({"step": 3, "loss": 0.2})
    assert log.rows()[-1] == {"step": "3", "loss": "0.2", "lr": ""}
    with open(log.path, "a") as handle:
        handle.write("4,0.")  # killed in the middle of a row
    assert len(log.rows()) == 3
