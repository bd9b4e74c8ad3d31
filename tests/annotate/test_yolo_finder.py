from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ultralytics.engine.results import Results

from wilor_yolo.annotate import yolo_finder
from wilor_yolo.annotate.yolo_finder import PersonFinder, YoloFinder
from wilor_yolo.detect.model import HandDetector
from wilor_yolo.errors import HandError
from wilor_yolo.metrics.detection import UNKNOWN
from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.weights_dir import shipped

IMAGE = np.zeros((60, 80, 3), np.uint8)


class StubModel:
    """Answers with fixed rows x1 y1 x2 y2 score class, and keypoints."""

    def __init__(self, names: dict[int, str], rows: list, keypoints: torch.Tensor | None = None):
        self.names, self.rows, self.keypoints = names, rows, keypoints
        self.settings: dict[str, Any] = {}
        self.model: Any = None

    def predict(self, image: np.ndarray, **settings: Any) -> list[Results]:
        self.settings = settings
        boxes = torch.tensor(self.rows, dtype=torch.float32).reshape(-1, 6)
        return [Results(image, path="", names=self.names, boxes=boxes, keypoints=self.keypoints)]


def finder(monkeypatch, model: StubModel, **settings: Any) -> YoloFinder:
    monkeypatch.setattr(yolo_finder, "_open", lambda path: model)
    return YoloFinder("my.pt", **settings)


@pytest.mark.parametrize(
    ("names", "sides"),
    [
        ({0: "left", 1: "right"}, [LEFT, RIGHT]),
        ({0: "Right_Hand", 1: "Left_Hand"}, [RIGHT, LEFT]),
        ({0: "hand", 1: "glove"}, [UNKNOWN, UNKNOWN]),
    ],
)
def test_sides_by_the_names_of_the_classes(monkeypatch, names: dict, sides: list[int]) -> None:
    rows = [[1, 2, 30, 40, 0.9, 0], [40, 2, 70, 40, 0.5, 1]]
    found = finder(monkeypatch, StubModel(names, rows))(IMAGE)
    assert found.sides is not None and found.sides.tolist() == sides
    assert found.boxes[0].tolist() == [1, 2, 30, 40]
    assert found.confidence.tolist() == pytest.approx([0.9, 0.5]) and found.keypoints is None
    swap = {LEFT: RIGHT, RIGHT: LEFT, UNKNOWN: UNKNOWN}
    mirrored = finder(monkeypatch, StubModel(names, rows), mirrored_labels=True)(IMAGE)
    assert mirrored.sides is not None and mirrored.sides.tolist() == [swap[s] for s in sides]


def test_keypoints_of_21_are_taken(monkeypatch) -> None:
    rows, names = [[1, 2, 30, 40, 0.9, 0]], {0: "hand"}
    points = torch.full((1, 21, 3), 5.0)
    points[..., 2] = 0.7
    found = finder(monkeypatch, StubModel(names, rows, points))(IMAGE)
    assert found.keypoints is not None
    assert found.keypoints[0, 3].tolist() == pytest.approx([4.5, 4.5, 0.7])
    body = torch.ones(1, 17, 3)
    assert finder(monkeypatch, StubModel(names, rows, body))(IMAGE).keypoints is None
    plain = torch.full((1, 21, 2), 5.0)
    plain[0, 4] = 0
    found = finder(monkeypatch, StubModel(names, rows, plain))(IMAGE)
    assert found.keypoints is not None
    assert found.keypoints[0, :, 2].tolist() == [0.0 if i == 4 else 1.0 for i in range(21)]


def test_parameters_of_what_has_some(monkeypatch) -> None:
    model = StubModel({0: "hand"}, [])
    model.model = torch.nn.Linear(2, 3)
    assert finder(monkeypatch, model).parameters == 9
    model.model = "exported.onnx"
    assert finder(monkeypatch, model).parameters is None


def test_nothing_found(monkeypatch) -> None:
    assert len(finder(monkeypatch, StubModel({0: "hand"}, [], torch.zeros(0, 21, 3)))(IMAGE)) == 0


def test_people(monkeypatch) -> None:
    rows = [[1, 2, 30, 40, 0.7, 0], [5, 2, 70, 40, 0.9, 0]]
    model = StubModel({0: "person", 16: "dog"}, rows)
    monkeypatch.setattr(yolo_finder, "_open", lambda path: model)
    boxes = PersonFinder("yolo.pt")(IMAGE)
    assert boxes[:, 0].tolist() == [5, 1]  # surest first
    assert model.settings["conf"] == 0.65 and model.settings["classes"] == [0]
    dogs = StubModel({0: "cat", 1: "dog"}, rows)
    monkeypatch.setattr(yolo_finder, "_open", lambda path: dogs)
    with pytest.raises(HandError, match="no class person"):
        PersonFinder("dogs.pt")


def test_our_detectors_are_asked_alike_whatever_they_are_called() -> None:
    assert isinstance(YoloFinder()._model, HandDetector)
    assert isinstance(YoloFinder("hand-n.pt")._model, HandDetector)
    assert isinstance(YoloFinder(shipped("hand-n.pt"))._model, HandDetector)


def test_tensors_without_a_network(tmp_path: Path) -> None:
    torch.save({"model.0.conv.weight": torch.zeros(2)}, tmp_path / "body.pt")
    with pytest.raises(HandError, match=r"body\.pt holds tensors without a network"):
        YoloFinder(tmp_path / "body.pt")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(HandError, match=r"absent\.pt"):
        YoloFinder(tmp_path / "absent.pt")
