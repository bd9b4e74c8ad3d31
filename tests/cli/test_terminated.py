from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")

# `wilor-yolo doctor` with a verb that writes a file for a minute: alone, in a worker as well, or
# beside a forked child, which it ends as multiprocessing does.
_SCRIPT = """
import multiprocessing, sys, time
from functools import partial
from pathlib import Path
from wilor_yolo.cli import doctor
from wilor_yolo.cli.main import main
from wilor_yolo.spread import spread
from wilor_yolo.whole_files import replacing

def write(path):
    with replacing(path) as part:
        part.touch()
        for _ in range(6000):  # Python may hear of a signal between two calls only
            time.sleep(0.1)

def alone(args):
    write("file")

def worker():
    return write

def workers(args):  # the pool hands out three of them at once
    list(spread(worker, ["one", "two", "three", "four"], 2))

def child(args):
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    time.sleep(0.1)
    process.terminate()
    process.join()
    print(process.exitcode, flush=True)
    return 0

if __name__ == "__main__":
    doctor.run = globals()[sys.argv.pop()]
    sys.exit(main())
"""


def _start(folder: Path, what: str) -> subprocess.Popen[str]:
    script = folder / "script.py"
    script.write_text(_SCRIPT, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(script), "doctor", what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )


@pytest.mark.parametrize("group", [False, True], ids=["one", "group"])
@pytest.mark.parametrize(("what", "files"), [("alone", 1), ("workers", 2)])
def test_sigterm_leaves_no_half_files(what: str, files: int, group: bool, tmp_path: Path) -> None:
    """To us alone, or as `timeout` sends it: to us and then to all, workers and us again."""
    with _start(tmp_path, what) as process:
        until = time.monotonic() + 200  # busy machines start slowly
        while len(list(tmp_path.glob("*.part"))) < files and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        if group:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            errors = process.communicate(timeout=200)[1]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 143
    assert "wilor-yolo: terminated\n" in errors
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


def test_forked_children_end_as_ever(tmp_path: Path) -> None:
    with _start(tmp_path, "child") as process:
        output, errors = process.communicate(timeout=50)
    assert (process.returncode, output, errors) == (0, f"{-signal.SIGTERM}\n", "")
