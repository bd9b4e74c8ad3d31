from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.spread import spread

POWERS = partial(partial, pow, 2)  # called in a worker, it gives the function x -> 2 ** x

# A module the workers of another process can import.
WORK = """
import os, signal, time
from pathlib import Path
from wilor_yolo.errors import HandError

def make(folder):
    if folder == "nowhere":
        raise HandError("no network there")
    def work(task):
        if task == "fail":
            raise HandError("this one cannot be done")
        if task == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        Path(folder, f"{task}.pid").write_text(str(os.getpid()))
        if task == "wait":
            time.sleep(60)
        return task
    return work
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The module above, importable here and in children."""
    (tmp_path / "spread_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    sys.modules.pop("spread_work", None)
    import spread_work

    yield spread_work
    sys.modules.pop("spread_work", None)


def test_one_worker_needs_no_process() -> None:
    assert list(spread(POWERS, [1, 5, 3], workers=1)) == [2, 32, 8]
    assert list(spread(POWERS, [], workers=4)) == []
    with pytest.raises(HandError, match="local or ray"):
        list(spread(POWERS, [1], 1, engine="spark"))


def test_two_processes_do_all(work, tmp_path: Path) -> None:
    done = list(spread(partial(work.make, tmp_path), ["a", "b", "c", "d"], workers=2))
    assert sorted(done) == ["a", "b", "c", "d"]
    workers = {path.read_text() for path in tmp_path.glob("?.pid")}
    assert str(os.getpid()) not in workers


@pytest.mark.slow
def test_what_a_task_says_comes_back(work, tmp_path: Path) -> None:
    with pytest.raises(HandError, match="this one cannot be done"):
        list(spread(partial(work.make, tmp_path), ["fail", "a"], workers=2))


@pytest.mark.slow
def test_what_a_worker_says_at_its_start_comes_back(work) -> None:
    with pytest.raises(HandError, match="no network there"):
        list(spread(partial(work.make, "nowhere"), ["a", "b"], workers=2))


@pytest.mark.slow
def test_a_worker_that_dies_is_said_in_one_line(work, tmp_path: Path) -> None:
    with pytest.raises(HandError, match="a worker process died"):
        list(spread(partial(work.make, tmp_path), ["die", "a"], workers=2))


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(work, tmp_path: Path) -> None:
    code = (
        "from functools import partial; import spread_work; from wilor_yolo.spread import spread\n"
        "if __name__ == '__main__':\n"
        f"    list(spread(partial(spread_work.make, {str(tmp_path)!r}), ['wait', 'a'], 2))\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, str(script)])
    note = tmp_path / "wait.pid"
    until = time.monotonic() + 60
    while not (note.exists() and note.read_text()) and time.monotonic() < until:
        time.sleep(0.1)
    worker = int(note.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while alive(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(worker)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


@pytest.mark.slow
def test_ray_does_the_same(work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray.data")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    done = list(spread(partial(work.make, tmp_path), ["a", "b", "c"], 2, engine="ray"))
    assert sorted(done) == ["a", "b", "c"]
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    with pytest.raises(HandError, match="this one cannot be done"):
        list(spread(partial(work.make, tmp_path), ["fail"], 1, engine="ray"))
    with pytest.raises(HandError, match="no network there"):
        list(spread(partial(work.make, "nowhere"), ["a"], 1, engine="ray"))


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HandError, match=r"wilor-yolo\[ray\]"):
        list(spread(POWERS, [1], 1, engine="ray"))
