from __future__ import annotations

from pathlib import Path

import pytest
import torch
import ultralytics.data.utils
import ultralytics.engine.trainer
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.utils.events import events

from wilor_yolo.detect import trainer
from wilor_yolo.detect.losses import HandPoseLoss
from wilor_yolo.detect.model import HandDetector
from wilor_yolo.detect.restricted import read_restricted


def test_criterion_on_model_and_average(toy_set, toy_settings, tmp_path) -> None:
    """Both the trained model and its running average (which validation uses) have ours."""
    seen = {}

    def look(run) -> None:
        seen["model"] = run.model.criterion
        seen["ema"] = run.ema.ema.criterion

    detector = HandDetector("yolo11n-hand-pose.yaml")
    detector.add_callback("on_train_start", look)
    toy_settings |= {"epochs": 1, "project": str(tmp_path), "name": "criterion"}
    detector.train(data=str(toy_set.yaml), **toy_settings)
    assert type(seen["model"]) is HandPoseLoss and type(seen["ema"]) is HandPoseLoss
    assert seen["model"] is not seen["ema"]


def test_offline_font_search_is_skipped_and_restored(monkeypatch) -> None:
    stock = ultralytics.data.utils.check_font
    monkeypatch.setattr(trainer, "ONLINE", False)
    with pytest.raises(ZeroDivisionError), trainer.no_font_download():
        assert ultralytics.data.utils.check_font("Arial.ttf") is None
        raise ZeroDivisionError
    assert ultralytics.data.utils.check_font is stock
    monkeypatch.setattr(trainer, "ONLINE", True)
    with trainer.no_font_download():
        assert ultralytics.data.utils.check_font is stock


def test_bfloat16_trains_on_cpus(toy_set, toy_settings, tmp_path) -> None:
    """Ultralytics refuses it there; the network computes in it, the criterion does not."""
    stock = ultralytics.engine.trainer.autocast
    detector, kinds = HandDetector("yolo11n-hand-pose.yaml"), []

    def look(run) -> None:
        run.model.model[0].register_forward_hook(
            lambda layer, given, out: kinds.append(out.dtype) if layer.training else None
        )
        run.model.criterion.bce.register_forward_hook(
            lambda layer, given, out: kinds.append(out.dtype)
        )

    detector.add_callback("on_train_start", look)
    toy_settings |= {"epochs": 1, "project": str(tmp_path), "name": "half", "val": False}
    detector.train(data=str(toy_set.yaml), amp="bf16", **toy_settings)
    assert kinds[:2] == [torch.bfloat16, torch.float32]
    assert ultralytics.engine.trainer.autocast is stock


def test_no_usage_reports() -> None:
    events.enabled = True
    HandDetector("yolo11n-hand-pose.yaml")
    assert events.enabled is False


def test_name_lets_loggers_attach() -> None:
    assert "Trainer" in trainer.HandTrainer.__name__
    assert issubclass(trainer.HandTrainer, PoseTrainer)


def test_a_kill_while_saving_leaves_the_epoch_before(
    toy_set, toy_settings, tmp_path, monkeypatch
) -> None:
    """Ultralytics writes into the file itself; a half-written last.pt cannot be resumed."""
    detector = HandDetector("yolo11n-hand-pose.yaml")
    write = Path.write_bytes

    def half(path: Path, content: bytes) -> int:
        if path.name.startswith("last.pt") and detector.trainer.epoch == 1:
            write(path, content[: len(content) // 2])
            raise KeyboardInterrupt
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", half)
    toy_settings |= {"epochs": 3, "project": str(tmp_path), "name": "half", "val": False}
    with pytest.raises(KeyboardInterrupt):
        detector.train(data=str(toy_set.yaml), **toy_settings)
    kept = read_restricted(tmp_path / "half" / "weights" / "last.pt")
    assert kept["epoch"] == 0 and kept["optimizer"] is not None
