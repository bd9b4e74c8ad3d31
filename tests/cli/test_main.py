from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from wilor_yolo import __version__
from wilor_yolo.cli import keys
from wilor_yolo.cli import main as cli_main
from wilor_yolo.cli.annotate import AnnotateOptions
from wilor_yolo.cli.main import VERBS, main
from wilor_yolo.cli.predict_options import PredictOptions
from wilor_yolo.cli.reconstruct import ValOptions
from wilor_yolo.cli.terminated import Terminated
from wilor_yolo.errors import HandError


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in ([], ["--help"], ["-h"], ["help"]):
        assert main(argv) == 0
        text = capsys.readouterr().out
        assert all(f"  {verb} " in text for verb in VERBS)
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_memory_is_kept_in_a_process_of_our_own_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("wilor_yolo.cli.main.keep_freed_memory", lambda: calls.append(True))
    monkeypatch.setattr("wilor_yolo.cli.main.interrupt_on_sigterm", lambda: None)
    main(["version"])
    assert not calls
    monkeypatch.setattr(sys, "argv", ["wilor-yolo", "version"])
    assert main() == 0
    assert calls == [True]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--help", "-h", "help"):
        assert main([verb, flag]) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"wilor-yolo {verb}")
        assert f"\n  wilor-yolo {verb}" in text
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize(
    "argv",
    [
        ["help", "detect"],
        ["--help", "detect"],
        ["help", "detect", "train"],
        ["detect", "help", "train"],
        ["detect", "train", "help"],
        ["detect", "help", "conf=0.1"],
        ["detect", "train", "data=x.yaml", "-h"],
    ],
)
def test_help_may_stand_anywhere(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith("wilor-yolo detect: ")


def test_help_of_no_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "detct"]) == 2
    assert "there is no verb 'detct'. Did you mean 'detect'?" in capsys.readouterr().err


def test_one_verb_a_file() -> None:
    for verb in VERBS:
        assert callable(import_module(f"wilor_yolo.cli.{verb}").run)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["predct"], "there is no verb 'predct'. Did you mean 'predict'?"),
        (
            ["export", "format=onnx"],
            "'export'. Did you mean 'detect export' or 'reconstruct export'?",
        ),
        (["track"], "'track'. Did you mean 'detect track' or 'predict source=clip.mp4'?"),
        (["train"], "'train'. Did you mean 'detect train' or 'reconstruct train'?"),
        (["val"], "'val'. Did you mean 'detect val' or 'reconstruct val'?"),
        (["predict", "model=hand-s.pt"], "predict has no key 'model'. Did you mean 'detector'?"),
        (["predict", "name=mine"], "Did you mean 'out'?"),
        (["predict", "vid_stride=2"], "Did you mean 'stride'?"),
        (["predict", "show_labels=False"], "Did you mean 'draw'?"),
        (["reconstruct", "val", "model=best.safetensors"], "Did you mean 'weights'?"),
        (["photo.jpg"], "Write the verb first, as in: wilor-yolo predict source=photo.jpg"),
        (["source=photo.jpg"], "Write the verb first"),
        (["predict", "sorce=x"], "Did you mean 'source'?"),
        (["weights"], "weights does several things; write weights info|convert ..."),
        (["detect", "trian"], "detect has no part 'trian'. Did you mean 'train'?"),
    ],
)
def test_wrong_words(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("wilor-yolo: ") and message in captured.err


def test_hints_name_what_there_is() -> None:
    """Of keys and verbs of `yolo`."""
    fields = {
        field
        for part in (PredictOptions, AnnotateOptions, ValOptions)
        for field in part.__dataclass_fields__
    }
    assert {ours for names in keys._OF_YOLO.values() for ours in names} <= fields
    assert not set(keys._OF_YOLO) & set(PredictOptions.__dataclass_fields__)
    verbs = re.findall(r"'(\w+)", " ".join(cli_main._OF_YOLO.values()))
    assert set(verbs) <= set(VERBS) and not set(cli_main._OF_YOLO) & set(VERBS)


def _raise(error: BaseException):
    def run(args: list[str]) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (HandError("wrong in\n two lines"), 2, "wilor-yolo: wrong in two lines\n"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Terminated(), 143, "terminated"),
        (PermissionError(13, "Permission denied", "/data/x"), 2, "/data/x: Permission denied."),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "the disk is full; make room"),
        (
            ImportError("libGL.so.1: cannot open shared object file: No such file", name="cv2"),
            2,
            "OpenCV cannot load (libGL.so.1 is missing): apt-get install libgl1\n",
        ),
        (
            ModuleNotFoundError("No module named 'cv2'", name="cv2"),
            2,
            "pip install --force-reinstall opencv-python",
        ),
        (
            ModuleNotFoundError("No module named 'lightning_fabric'", name="lightning_fabric"),
            2,
            'pip install "wilor-yolo[train]"',
        ),
    ],
)
def test_errors_become_one_line_and_a_code(
    error: BaseException,
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wilor_yolo.cli.doctor.run", _raise(error))
    assert main(["doctor"]) == code
    captured = capsys.readouterr().err
    assert message in captured and captured.count("\n") == 1


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), ImportError("cannot import name 'x' from 'wilor_yolo.hands'")]
)
def test_faults_of_ours_keep_their_traceback(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wilor_yolo.cli.doctor.run", _raise(error))
    with pytest.raises(type(error)):
        main(["doctor"])


def _process(argv: list[str], cwd: Path, code: str | None = None) -> subprocess.CompletedProcess:
    root = str(Path(__file__).resolve().parents[2])
    start = ["-c", code] if code else ["-m", "wilor_yolo"]
    return subprocess.run(
        [sys.executable, *start, *argv],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": root},
    )


def test_python_m(tmp_path: Path) -> None:
    done = _process(["predict", "source=gone.jpg"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "wilor-yolo: gone.jpg does not exist; check the path.\n"
    assert list(tmp_path.iterdir()) == []


def test_missing_libgl_in_a_real_process(tmp_path: Path) -> None:
    """A cv2 that fails as it does without the system's libGL."""
    (tmp_path / "cv2.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file')\n",
        encoding="utf-8",
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r});"
        "from wilor_yolo.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    done = _process(["predict"], tmp_path, code)
    assert done.returncode == 2
    assert done.stderr == (
        "wilor-yolo: OpenCV cannot load (libGL.so.1 is missing): apt-get install libgl1\n"
    )
    doctor = _process(["doctor"], tmp_path, code)
    assert doctor.returncode == 1
    assert "BAD  opencv         OpenCV cannot load (libGL.so.1 is missing)" in doctor.stdout
    assert "apt-get install libgl1" in doctor.stdout


def test_installed_command_is_not_taken_for_yolo(
    tmp_path: Path, tiny_detector: Path, tiny_reconstructor: Path
) -> None:
    """Ultralytics returns no results to a program named *yolo that is asked to predict."""
    script = tmp_path / "wilor-yolo"
    script.write_text(
        "import sys\nfrom wilor_yolo.cli.main import main\nsys.exit(main())\n", encoding="utf-8"
    )
    done = subprocess.run(
        [
            sys.executable,
            str(script),
            "predict",
            f"detector={tiny_detector}",
            f"reconstructor={tiny_reconstructor}",
            "out=out",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert "No hand found in zidane.jpg." in done.stdout
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["hands.json", "zidane.jpg"]
