from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from wilor_yolo.cli.annotate import AnnotateOptions
from wilor_yolo.cli.keys import read_keys
from wilor_yolo.cli.main import VERBS, main


@pytest.fixture()
def pictures(tmp_path: Path) -> Path:
    """Two pictures, and detections of the first on file."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        image = cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (160, 120))
        cv2.imwrite(str(folder / f"{name}.png"), image)
    hand = {"box": [20, 20, 80, 90], "confidence": 0.9, "side": "left"}
    rows = [{"file": "a.png", "hands": [hand]}, {"file": "b.png", "hands": []}]
    (tmp_path / "found.json").write_text(json.dumps({"detections": rows}))
    return folder


def test_detections_on_file_become_labels(pictures: Path, tmp_path: Path, capsys) -> None:
    out, found = tmp_path / "out", tmp_path / "found.json"
    words = ["annotate", f"source={pictures}", f"out={out}", f"detectors={found}", "fit=False"]
    assert main([*words, "test_share=0"]) == 0
    assert "1 hands" in capsys.readouterr().out
    (label,) = (out / "labels" / "train").rglob("*.txt")
    values = label.read_text().split()
    assert values[0] == "0"
    assert [float(v) for v in values[1:5]] == pytest.approx(
        [50 / 160, 55 / 120, 60 / 160, 70 / 120]
    )
    assert set(values[5:]) == {"0", "0.000000"} and len(values) == 5 + 63
    assert main([*words, "test_share=0"]) == 0
    assert "2 pictures done before" in capsys.readouterr().out
    assert main([*words, "test_share=0.5"]) == 2  # though nothing is left to do
    assert "test_share=0" in capsys.readouterr().err


def test_another_detector_of_the_same_name_is_refused(
    pictures: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    other = tmp_path / "other" / "found.json"
    other.parent.mkdir()
    other.write_text('{"detections": []}')
    words = ["annotate", f"source={pictures}", f"out={tmp_path / 'out'}", "fit=False"]
    assert main([*words, f"detectors={tmp_path / 'found.json'}"]) == 0
    monkeypatch.chdir(tmp_path)
    assert main([*words, "detectors=found.json"]) == 0  # the same file
    assert main([*words, "detectors=other/found.json"]) == 2
    assert "detector_files" in capsys.readouterr().err
    settings = tmp_path / "out" / "settings.json"
    kept = json.loads(settings.read_text())
    del kept["detector_files"]
    settings.write_text(json.dumps(kept))  # as earlier versions wrote it
    assert main([*words, "detectors=found.json"]) == 0
    assert main([*words, "detectors=other/found.json"]) == 2


def test_a_model_is_the_same_however_its_path_is_typed(
    pictures: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("limits.yaml", "others.yaml"):
        Path(name).touch()
    words = ["annotate", f"source={pictures}", "out=out", "fit=False", "detectors=found.json"]
    for typed in ("limits.yaml", "./limits.yaml", str(tmp_path / "limits.yaml")):
        assert main([*words, f"limits={typed}"]) == 0
    assert main([*words, "limits=others.yaml"]) == 2
    assert "limits.yaml" in capsys.readouterr().err
    settings = tmp_path / "out" / "settings.json"
    kept = json.loads(settings.read_text())
    settings.write_text(json.dumps(kept | {"limits": "limits.yaml"}))  # as earlier versions did
    assert main([*words, "limits=./limits.yaml"]) == 0
    assert main([*words, "limits=others.yaml"]) == 2
    settings.write_text("{")
    assert main([*words, "limits=limits.yaml"]) == 2
    assert "settings.json is damaged" in capsys.readouterr().err


def test_trouble_is_exit_code_1(pictures: Path, tmp_path: Path, capsys) -> None:
    (pictures / "c.jpg").write_bytes(b"no picture")
    words = ["annotate", f"source={pictures}", f"out={tmp_path / 'out'}", "fit=False"]
    for _ in range(2):  # the next run tries again, and says so again
        assert main([*words, f"detectors={tmp_path / 'found.json'}"]) == 1
        assert "trouble.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["source=x.mp4"], "needs out="),
        (["source=absent.mp4", "out=o"], "absent.mp4 does not exist"),
        (["source=.", "out=o", "rat=2"], "Did you mean 'rate'"),
        (["source=.", "out=o", "unsure=0.9"], "above keep"),
        (["source=.", "out=o", "projection=fisheye"], "one of full, weak"),
        (["source=.", "out=o", "hand_model=m.pkl"], "needs its own prior="),
        (["source={picture}", "out={out}", "device=cuda:77"], "device=cuda:77: torch sees"),
        (["source={picture}", "out={out}", "device=cuda:77", "fit=False"], "device=cuda:77"),
    ],
)
def test_mistakes(words: list[str], message: str, pictures: Path, tmp_path: Path, capsys) -> None:
    places = {"picture": pictures / "a.png", "out": tmp_path / "out"}
    assert main(["annotate", *(word.format(**places) for word in words)]) == 2
    assert message in capsys.readouterr().err


def test_help_and_defaults(capsys) -> None:
    assert "annotate" in VERBS and main(["annotate", "--help"]) == 0
    assert "wilor-yolo annotate source=videos/ out=mydata" in capsys.readouterr().out
    options = read_keys(AnnotateOptions, ["source=a", "out=b"], "annotate")
    assert options.detectors == ("mediapipe", "wilor_yolo") and options.people_conf == 0.65


@pytest.fixture()
def videos(tmp_path: Path) -> Path:
    """Three clips of four frames, with detections on file."""
    folder, rows = tmp_path / "videos", []
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        writer = cv2.VideoWriter(
            str(folder / f"{name}.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 4, (160, 120)
        )
        for frame in range(4):
            small = rng.integers(0, 255, (6, 8, 3), np.uint8)
            writer.write(cv2.resize(small, (160, 120), interpolation=cv2.INTER_NEAREST))
            hand = {"box": [20 + frame, 20, 80, 90], "confidence": 0.9, "side": "right"}
            rows.append({"file": f"{name}.avi", "frame": frame, "hands": [hand]})
        writer.release()
    (tmp_path / "found.json").write_text(json.dumps({"detections": rows}))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Everything but what names the folder itself, and torn files of a killed run."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "data.yaml" and path.suffix != ".part"
    }


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_two_workers_write_what_one_writes(
    videos: Path, tmp_path: Path, engine: str, capsys, monkeypatch
) -> None:
    if engine == "ray":
        pytest.importorskip("ray.data")
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    words = ["annotate", f"source={videos}", f"detectors={tmp_path / 'found.json'}", "fit=False"]
    words += ["rate=0", "near_copy_bits=-1", "test_share=0"]
    assert main([*words, f"out={tmp_path / 'one'}"]) == 0
    assert main([*words, f"out={tmp_path / 'two'}", "workers=2", f"engine={engine}"]) == 0
    assert capsys.readouterr().out.count("12 hands") == 2
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    assert one == two and len(one) > 30


_KILLED = """
import os, sys
from wilor_yolo.cli.main import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_kill_9_with_two_workers(videos: Path, tmp_path: Path) -> None:
    """Killed when the first label is there; the same command then makes the whole."""
    script = tmp_path / "run.py"
    script.write_text(_KILLED)
    words = ["annotate", f"source={videos}", f"detectors={tmp_path / 'found.json'}", "fit=False"]
    words += ["rate=0", "near_copy_bits=-1", "test_share=0", "chunk=1"]
    assert main([*words, f"out={tmp_path / 'one'}"]) == 0
    out = tmp_path / "two"
    job = subprocess.Popen([sys.executable, str(script), *words, f"out={out}", "workers=2"])
    until = time.monotonic() + 60
    while not list(out.glob("labels/*/*/*.txt")) and time.monotonic() < until:
        time.sleep(0.002)
    job.send_signal(signal.SIGKILL)
    job.wait()
    time.sleep(1.0)  # its workers end by themselves
    before = files(out)
    for name in before:
        if name.endswith(".jpg"):
            assert cv2.imread(str(out / name)) is not None
    assert main([*words, f"out={out}", "workers=2"]) == 0
    assert files(out) == files(tmp_path / "one")
