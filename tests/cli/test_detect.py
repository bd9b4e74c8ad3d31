from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from wilor_yolo.cli import detect
from wilor_yolo.cli.main import main
from wilor_yolo.errors import HandError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, dict[str, Any]]]:
    """Records (part, model, settings) instead of doing the work."""
    made: list[tuple[str, Any, dict[str, Any]]] = []

    class Recorder:
        def __init__(self, model: Any = None, verbose: bool = False) -> None:
            self.model = model

        def __getattr__(self, part: str) -> Any:
            def call(source: Any = None, **settings: Any) -> list[Any]:
                made.append((part, self.model, {**settings, "source": source}))
                return []

            return call

    monkeypatch.setattr("wilor_yolo.detect.model.HandDetector", Recorder)
    return made


def test_stock_and_own_keys_arrive(calls: list) -> None:
    words = "data = a.yaml epochs=3 imgsz=[320, 320] lr0=1e-3 plots --batch=2 keypoint_loss=oks"
    assert main(["detect", "train", *words.split(" "), "mask_prob=0.5"]) == 0
    part, model, settings = calls[0]
    assert (part, model) == ("train", "yolo11n-hand-pose.yaml")
    assert settings == {
        "data": "a.yaml",
        "epochs": 3,
        "imgsz": [320, 320],
        "lr0": 1e-3,
        "plots": True,
        "keypoint_loss": "oks",
        "mask_prob": 0.5,
        "batch": 2,
        "source": None,
    }


def test_resume_from_a_file(calls: list) -> None:
    assert main(["detect", "train", "resume=last.pt"]) == 0
    assert calls[0][:2] == ("train", "last.pt") and calls[0][2]["resume"] is True


def test_predict_defaults(calls: list) -> None:
    assert main(["detect", "predict", "model=best.pt"]) == 0
    part, model, settings = calls[0]
    assert (part, model, settings["save"], settings["stream"]) == ("predict", "best.pt", True, True)
    assert Path(settings["source"]).name == "zidane.jpg"
    assert main(["detect", "predict", "save=False", "source=a.jpg"]) == 0
    assert calls[1][1] is None
    assert calls[1][2] == {"save": False, "stream": True, "source": "a.jpg"}


def test_preset_file(calls: list, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("epochs: 7\nmask_prob: 0.1\n", encoding="utf-8")
    assert main(["detect", "train", "data=a.yaml", f"cfg={tmp_path / 'mine.yaml'}", "lr0=1"]) == 0
    assert calls[0][2]["epochs"] == 7 and calls[0][2]["mask_prob"] == 0.1
    (tmp_path / "bad.yaml").write_text("epoch: 7\n", encoding="utf-8")
    with pytest.raises(HandError, match=r"unknown key 'epoch'. Did you mean 'epochs'\?"):
        detect.run(["train", "data=a.yaml", f"cfg={tmp_path / 'bad.yaml'}"])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "data=a.yaml", "epoch=3"], "no key 'epoch'. Did you mean 'epochs'?"),
        (["val", "data=a.yaml", "mask_prob=1"], "detect val has no key 'mask_prob'."),
        (["predict", "task=detect"], "no key 'task'"),
        (["predict", "xyzzy=1"], "See https://docs.ultralytics.com/usage/cfg"),
        (["predict", "conf"], "conf needs a value"),
        (["predict", "conf="], "conf= has no value"),
        (["predict", "conf=2"], "'conf=2' is an invalid value"),
        (["predict", "imgsz=[1,2"], "unmatched '['"),
        (["train"], "detect train needs data="),
        (["val"], "detect val needs data="),
        (["predict", "model=gone.pt"], "gone.pt"),
        (["predict", "cfg=gone.yaml"], "cfg=gone.yaml cannot be read"),
        (["train", "data=.", "epochs=1"], ". is a folder; give the data YAML in it"),
        (["predict", "model=."], "is no detector; one is a .pt file"),
        (["track", "tracker=x"], "tracker=x is no .yaml file"),
        (["predict", "imgsz=abc"], "'imgsz=abc' is not a valid image size"),
    ],
)
def test_mistakes(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", *argv]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_track_needs_lap(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], calls: list
) -> None:
    monkeypatch.setattr("wilor_yolo.pipeline.can_track", lambda: False)
    assert main(["detect", "track", "source=clip.mp4"]) == 2
    assert 'pip install "wilor-yolo[track]"' in capsys.readouterr().err
    monkeypatch.setattr("wilor_yolo.pipeline.can_track", lambda: True)
    assert main(["detect", "track", "source=clip.mp4"]) == 0
    assert calls[0][0] == "track"


def test_real_predict_writes_where_it_is_told(
    tiny_detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64, 3), np.uint8))
    common = ["detect", "predict", f"model={tiny_detector}", "imgsz=64"]
    assert main([*common, f"source={tmp_path / 'a.png'}", f"project={tmp_path}", "name=out"]) == 0
    assert [p.suffix for p in (tmp_path / "out").iterdir()] == [".jpg"]
    assert main([*common, f"source={tmp_path / 'gone.png'}"]) == 2
    assert "gone.png" in capsys.readouterr().err


def test_real_val_names_a_missing_data_yaml(
    tiny_detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["detect", "val", f"model={tiny_detector}", f"data={tmp_path / 'gone.yaml'}"]) == 2
    assert "gone.yaml" in capsys.readouterr().err


def test_every_stock_key_is_known() -> None:
    """With the value it has in Ultralytics; `mode` and `task` are what the verb stands for."""
    from ultralytics.cfg import DEFAULT_CFG_DICT

    for part in ("train", "val", "predict", "track", "export", "sheet", "ablate"):
        for name, value in DEFAULT_CFG_DICT.items():
            if name not in {"mode", "task", "cfg"}:
                settings = detect._settings(part, [f"{name}={value}"])
                assert name in settings and settings[name] == value


def test_keypoint_loss_none_is_a_word(calls: list) -> None:
    """Ultralytics reads `none` as nothing, and nothing would leave the loss as it was."""
    assert main(["detect", "train", "data=a.yaml", "keypoint_loss=none", "device=None"]) == 0
    assert calls[0][2]["keypoint_loss"] == "none" and calls[0][2]["device"] is None


def test_single_cls_trains(tmp_path: Path) -> None:
    """A stock key that replaces the class names."""
    words = ["data=hand-sample.yaml", "single_cls=True", "imgsz=64", "epochs=1", "batch=8"]
    words += ["val=False", "plots=False", f"project={tmp_path}", "name=one", "workers=0"]
    assert main(["detect", "train", *words, "fraction=0.5"]) == 0
    assert (tmp_path / "one" / "weights" / "last.pt").is_file()
