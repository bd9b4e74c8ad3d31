from __future__ import annotations

import pytest
import ultralytics.data.utils
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.utils.events import events

from wilor_yolo.detect import trainer
from wilor_yolo.detect.losses import HandPoseLoss
from wilor_yolo.detect.model import HandDetector


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


def test_no_usage_reports() -> None:
    events.enabled = True
    HandDetector("yolo11n-hand-pose.yaml")
    assert events.enabled is False


def test_name_lets_loggers_attach() -> None:
    assert "Trainer" in trainer.HandTrainer.__name__
    assert issubclass(trainer.HandTrainer, PoseTrainer)
