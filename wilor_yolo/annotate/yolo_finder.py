"""Ultralytics models in the ensemble: our own detector, anybody's hand model, person models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..devices import torch_device
from ..errors import HandError
from ..geometry import HALF_PIXEL
from ..metrics.detection import UNKNOWN
from ..skeleton import LEFT, NUM_JOINTS, RIGHT
from .candidates import HandCandidates

__all__ = ["PERSON_CONFIDENCE", "PersonFinder", "YoloFinder"]

PERSON_CONFIDENCE = 0.65  # paper section 3
_IOU = 0.7  # Ultralytics' own: overlap up to which boxes of any model, ours or not, are two hands


class YoloFinder:
    """Hands of an Ultralytics model.

    Classes named "left..." and "right..." give the side, any other hand class leaves it unknown.
    Keypoints are used when there are 21.

    Args:
        model: a detector file, or None for the shipped one.
        name: in votes and the manifest; the file's name by default.
        conf: lowest score.
        imgsz: longer side the model sees, px; None for the size it was trained at.
        device: where it runs, "cpu", "cuda:0", "auto", ...; None for Ultralytics' choice.
        mirrored_labels: the model was taught on mirrored pictures: swap its sides.

    Raises:
        WeightsError: no such file, or the restricted loader refuses it.
        HandError: no such device.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        name: str | None = None,
        conf: float = 0.25,
        imgsz: int | None = None,
        device: str | None = None,
        mirrored_labels: bool = False,
    ) -> None:
        self._model = _open(model)
        self.name = name or ("wilor_yolo" if model is None else Path(model).stem)
        self._settings = _settings(conf, imgsz, device)
        sides = {index: _side(str(label)) for index, label in self._model.names.items()}
        if mirrored_labels:
            swap = {LEFT: RIGHT, RIGHT: LEFT, UNKNOWN: UNKNOWN}
            sides = {index: swap[side] for index, side in sides.items()}
        self._sides = sides

    @property
    def parameters(self) -> int | None:
        """How many the network has; None for an exported one, which does not tell."""
        if not hasattr(self._model.model, "parameters"):
            return None
        return sum(p.numel() for p in self._model.model.parameters())

    def __call__(self, image: np.ndarray) -> HandCandidates:
        """Hands of a picture (H, W, 3) uint8 BGR."""
        result = self._model.predict(image, agnostic_nms=True, iou=_IOU, **self._settings)[0]
        boxes = result.boxes.cpu().numpy()
        keypoints = None
        if result.keypoints is not None and len(boxes):
            data = np.asarray(result.keypoints.data.cpu(), np.float64)
            if data.shape[1] == NUM_JOINTS:
                if data.shape[2] == 2:  # without visibility a point at the corner is an unknown one
                    known = data.any(-1, keepdims=True).astype(np.float64)
                    data = np.concatenate((data, known), axis=-1)
                data[..., 2] = data[..., 2].clip(0, 1)
                data[..., :2] -= HALF_PIXEL  # Ultralytics counts from the border, candidates do not
                keypoints = data
        sides = np.array([self._sides[int(c)] for c in boxes.cls], int)
        return HandCandidates(boxes.xyxy, boxes.conf, sides, None, keypoints)


class PersonFinder:
    """People of an Ultralytics detection or pose model.

    Args:
        model: the model's file; it must have a class "person", or one class only.
        conf: lowest score of a person.
        imgsz: longer side the model sees, px; None for the size it was trained at.
        device: where it runs, "cpu", "cuda:0", "auto", ...; None for Ultralytics' choice.

    Raises:
        HandError: the model knows no people, or there is no such device.
    """

    def __init__(
        self,
        model: str | Path,
        conf: float = PERSON_CONFIDENCE,
        imgsz: int | None = None,
        device: str | None = None,
    ) -> None:
        self._model = _open(model)
        names = {int(i): str(label).lower() for i, label in self._model.names.items()}
        people = [i for i, label in names.items() if label == "person"]
        if not people and len(names) == 1:
            people = list(names)
        if not people:
            raise HandError(f"{model} has no class person, but {', '.join(names.values())}.")
        self._settings = {**_settings(conf, imgsz, device), "classes": people}

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) xyxy px of the people of a picture, surest first."""
        boxes = self._model.predict(image, **self._settings)[0].boxes.cpu().numpy()
        return np.asarray(boxes.xyxy, np.float64)[np.argsort(-boxes.conf, kind="stable")]


def _open(model: str | Path | None) -> Any:
    from ..detect.model import HandDetector, existing_model

    if model is None:
        return HandDetector()
    from ultralytics import YOLO

    path = existing_model(Path(model))
    stock = YOLO(str(path), verbose=False)
    sides = [_side(str(label)) for label in stock.names.values()]
    # Every detector of our kind is asked as the shipped one is, whichever way it is named.
    return HandDetector(path) if stock.task == "pose" and sides == [LEFT, RIGHT] else stock


def _settings(conf: float, imgsz: int | None, device: str | None) -> dict[str, Any]:
    settings: dict[str, Any] = {"conf": conf, "verbose": False, "save": False}
    if imgsz is not None:
        settings["imgsz"] = imgsz
    if device is not None:
        settings["device"] = torch_device(device)
    return settings


def _side(label: str) -> int:
    label = label.lower()
    left, right = "left" in label, "right" in label
    return UNKNOWN if left == right else LEFT if left else RIGHT
