from __future__ import annotations

import json
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


def test_trouble_is_exit_code_1(pictures: Path, tmp_path: Path, capsys) -> None:
    (pictures / "c.jpg").write_bytes(b"no picture")
    words = ["annotate", f"source={pictures}", f"out={tmp_path / 'out'}", "fit=False"]
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
    ],
)
def test_mistakes(words: list[str], message: str, capsys) -> None:
    assert main(["annotate", *words]) == 2
    assert message in capsys.readouterr().err


def test_help_and_defaults(capsys) -> None:
    assert "annotate" in VERBS and main(["annotate", "--help"]) == 0
    assert "wilor-yolo annotate source=videos/ out=mydata" in capsys.readouterr().out
    options = read_keys(AnnotateOptions, ["source=a", "out=b"], "annotate")
    assert options.detectors == ("mediapipe", "wilor_yolo") and options.people_conf == 0.65
