"""Exported detectors find the same hands, and no hand twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from ultralytics import YOLO
from ultralytics.utils import ASSETS

from wilor_yolo.detect.model import HandDetector
from wilor_yolo.detect.trainer import openvino_in_32_bits
from wilor_yolo.errors import HandError
from wilor_yolo.metrics.detection import box_iou
from wilor_yolo.weights_dir import shipped, shipped_dataset

MANY = {"conf": 1e-3, "max_det": 300, "iou": 0.5}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A copy of the shipped detector: exports are written beside it."""
    return Path(shutil.copy(shipped("hand-n.pt"), tmp_path / "hand-n.pt"))


def overlapping_pairs(result) -> tuple[int, int]:
    """Pairs of boxes above the suppression's limit, of the same side and of both sides.

    Of boxes inside the picture: those that reach out are cut after the suppression.
    """
    boxes, sides = result.boxes.xyxy.numpy(), result.boxes.cls.numpy()
    height, width = result.orig_shape
    inside = (boxes[:, :2] > 0).all(1) & (boxes[:, 2:] < [width, height]).all(1)
    boxes, sides = boxes[inside], sides[inside]
    assert len(boxes) > 3
    above = np.triu(box_iou(boxes, boxes) > 0.51, 1)
    same = sides[:, None] == sides
    return int((above & same).sum()), int((above & ~same).sum())


def two_sided(weights: Path) -> Path:
    """A detector that sees hands all over a picture, four cells wide, some left and some right."""
    checkpoint = torch.load(weights, weights_only=False)
    for model in (checkpoint["model"], checkpoint["ema"]):
        if model is not None:
            for sides, boxes in zip(model.model[-1].cv3, model.model[-1].cv2, strict=True):
                sides[-1].weight.data.normal_(generator=torch.Generator().manual_seed(0))
                sides[-1].bias.data.zero_()
                boxes[-1].weight.data.zero_()
                boxes[-1].bias.data.zero_()
                boxes[-1].bias.data[2::16] = 20.0  # each border two strides from the centre
    torch.save(checkpoint, weights)
    return weights


def test_one_hand_comes_out_once_from_a_file_with_suppression(weights: Path) -> None:
    two_sided(weights)
    image = cv2.resize(cv2.imread(str(ASSETS / "zidane.jpg")), (320, 320))
    settings = {"format": "torchscript", "imgsz": 320, "nms": True, **MANY}
    once = HandDetector(HandDetector(weights).export(**settings))
    found = once.predict(image, conf=1e-3, verbose=False)[0]
    assert overlapping_pairs(found) == (0, 0)
    stock = HandDetector(HandDetector(weights).export(**settings, agnostic_nms=False))
    same, both = overlapping_pairs(stock.predict(image, conf=1e-3, verbose=False)[0])
    assert same == 0 and both > 0  # what it is for


def test_one_hand_comes_out_once_from_a_file_without(weights: Path) -> None:
    two_sided(weights)
    image = cv2.resize(cv2.imread(str(ASSETS / "zidane.jpg")), (320, 320))
    file = HandDetector(weights).export(format="torchscript", imgsz=320)
    found = HandDetector(file).predict(image, verbose=False, **MANY)[0]
    assert overlapping_pairs(found) == (0, 0)
    other = HandDetector(file).predict(image, verbose=False, agnostic_nms=False, **MANY)[0]
    assert overlapping_pairs(other)[1] > 0


def test_exported_files_do_not_train(weights: Path) -> None:
    file = HandDetector(weights).export(format="torchscript", imgsz=96)
    for work in ("train", "export"):
        with pytest.raises(HandError, match=r"start from its \.pt") as caught:
            getattr(HandDetector(file), work)()
        assert "\n" not in str(caught.value)


def test_shipped_weights_are_exported_into_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path(HandDetector().export(format="torchscript", imgsz=96))
    assert file == tmp_path / "hand-n.torchscript" and file.is_file()


def test_what_cannot_be_made_here(weights: Path) -> None:
    with pytest.raises(HandError, match="export format=jpeg: Invalid export format='jpeg'"):
        HandDetector(weights).export(format="jpeg")
    if not torch.cuda.is_available():
        with pytest.raises(HandError, match=r"export format=engine: .*CUDA"):
            HandDetector(weights).export(format="engine")


def test_a_library_that_is_not_there(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self, **settings) -> str:
        raise ModuleNotFoundError("No module named 'tensorflow'")

    monkeypatch.setattr(YOLO, "export", missing)
    with pytest.raises(HandError, match="export format=saved_model: No module named 'tensorflow'"):
        HandDetector(weights).export(format="saved_model")


def test_openvino_is_told_to_be_exact() -> None:
    openvino = pytest.importorskip("openvino")
    stock = openvino.Core
    with openvino_in_32_bits():
        core = openvino.Core()
    assert core.get_property("CPU", "INFERENCE_PRECISION_HINT") == openvino.Type.f32
    assert openvino.Core is stock


@pytest.mark.slow
@pytest.mark.parametrize("nms", [None, True])
@pytest.mark.parametrize("kind", ["torchscript", "onnx", "openvino"])
def test_exports_find_the_same_hands(kind: str, nms: bool | None, weights: Path) -> None:
    """The shipped detector on pictures: boxes and keypoints within half a pixel, same sides."""
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}.get(kind, "torch"))
    folder = shipped_dataset("hand-sample.yaml").parent / "hand-sample" / "images"
    pictures = [*sorted(map(str, folder.rglob("*.jpg")))[:8], str(ASSETS / "zidane.jpg")]
    baked = {"nms": True, "conf": 0.1} if nms else {}
    # Exported files see squares; `rect` would pad the .pt's pictures less.
    expected = HandDetector(weights).predict(
        pictures, imgsz=320, conf=0.1, rect=False, verbose=False
    )
    file = HandDetector(weights).export(format=kind, imgsz=320, **baked)
    found = HandDetector(file).predict(pictures, conf=0.1, verbose=False)
    assert sum(map(len, expected)) > 8
    for one, other in zip(expected, found, strict=True):
        assert other.names == {0: "left", 1: "right"}
        assert other.boxes.cls.tolist() == one.boxes.cls.tolist()
        np.testing.assert_allclose(other.boxes.xyxy, one.boxes.xyxy, atol=0.5)
        np.testing.assert_allclose(other.boxes.conf, one.boxes.conf, atol=0.01)
        np.testing.assert_allclose(other.keypoints.xy, one.keypoints.xy, atol=0.5)


@pytest.mark.slow
def test_the_pipeline_runs_on_an_exported_detector(weights: Path, tiny_reconstructor) -> None:
    pytest.importorskip("onnxruntime")
    from wilor_yolo import HandPipeline

    file = HandDetector(weights).export(format="onnx", imgsz=320)
    assert Path(file).name == "hand-n.onnx"
    picture = cv2.resize(cv2.imread(str(ASSETS / "zidane.jpg")), (640, 640))
    hands = HandPipeline(file, tiny_reconstructor)(picture)
    expected = HandPipeline(weights, tiny_reconstructor, imgsz=320)(picture)
    assert len(hands) == len(expected) > 0
    np.testing.assert_allclose(hands.bbox_xyxy, expected.bbox_xyxy, atol=0.5)
    assert hands.is_right.tolist() == expected.is_right.tolist()
