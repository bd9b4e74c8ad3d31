from __future__ import annotations

import pickle
import signal
from contextlib import contextmanager

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


def test_a_failing_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "last.pt"
    save_state(path, _state())
    before = path.read_bytes()
    state = _state()
    state.network = {"w": torch.zeros(200_000)}
    # torch makes a RuntimeError of what the disk says, which does not tell that it is full.
    with limited_file_size(100_000), pytest.raises(OSError, match="too large"):
        save_state(path, state)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["last.pt"]


@contextmanager
def limited_file_size(most):
    """Writing a larger file fails, as on a disk that is full."""
    resource = pytest.importorskip("resource")  # POSIX only
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


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


def test_an_empty_checkpoint_is_refused_in_one_line(tmp_path):
    (tmp_path / "last.pt").touch()
    with pytest.raises(
        WeightsError, match=r"last\.pt cannot be read .* \(EOFError\); .* delete it\.$"
    ):
        load_state(tmp_path / "last.pt")


def test_missing_and_unknown_fields_are_refused_in_one_line(tmp_path):
    path = tmp_path / "last.pt"
    save_state(path, _state())
    whole = torch.load(path, weights_only=True)
    lacking = {name: value for name, value in whole.items() if name != "prior"}
    for data, field in ((lacking, "prior"), (whole | {"later": 1}, "later")):
        torch.save(data, path)
        with pytest.raises(WeightsError, match=f"no training checkpoint of this.*'{field}'.*it.$"):
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


def test_a_torn_row_does_not_spoil_the_next_one(tmp_path):
    log = RunLog(tmp_path / "val.csv")
    log.append({"step": 1, "source": "a", "error": 1.25})
    log.append({"step": 2, "source": "a", "error": 2.25})
    whole = log.path.read_bytes()
    for cut in (3, 8):  # in the last number, whose digits look whole, and before it
        log.path.write_bytes(whole[:-cut])
        assert [row["error"] for row in log.rows()] == ["1.25"]
        log.append({"step": 3, "source": "a", "error": 3.25})
        assert [row["error"] for row in log.rows()] == ["1.25", "3.25"]


def test_checkpoints_of_older_versions_are_read(tmp_path):
    save_state(tmp_path / "last.pt", _state())
    data = torch.load(tmp_path / "last.pt", weights_only=True)
    del data["hand"], data["scaler"]
    torch.save(data, tmp_path / "last.pt")
    assert load_state(tmp_path / "last.pt").hand == ""
