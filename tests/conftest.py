"""Offline, quiet, and with a settings folder of its own; a detector that finds coloured blobs."""

from __future__ import annotations

import os
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

# Read by Ultralytics when it is imported, which must not happen before.
os.environ["YOLO_OFFLINE"] = "true"
os.environ["YOLO_AUTOINSTALL"] = "false"
os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp(prefix="wilor-yolo-tests-")
os.environ["YOLO_VERBOSE"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import pytest

LEFT_BLUE, RIGHT_RED = (255, 0, 0), (0, 0, 255)  # BGR


def paint(
    hands: list[tuple[str, int, int, int, int]], size: tuple[int, int] = (320, 240)
) -> np.ndarray:
    """A grey picture (width, height) with a blue rectangle a left and a red one a right hand."""
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    for side, x1, y1, x2, y2 in hands:
        image[y1:y2, x1:x2] = LEFT_BLUE if side == "left" else RIGHT_RED
    return image


class BlobDetector:
    """Answers like `HandDetector`, with stock Ultralytics `Results` for painted rectangles.

    A blob's score is 0.9; `seen` records the pictures and settings of each call. Tracking numbers
    the blobs by size, largest first: enough for blobs that keep their size.
    """

    def __init__(self, model: Any = None) -> None:
        self.model, self.names = model, {0: "left", 1: "right"}
        self.image_size = 416
        self.seen: list[tuple[list[tuple[int, ...]], dict[str, Any]]] = []

    def predict(self, source: Any, **settings: Any) -> list[Any]:
        images = source if isinstance(source, list) else [source]
        images = [cv2.imread(image) if isinstance(image, str) else image for image in images]
        self.seen.append(([image.shape for image in images], settings))
        return [self._result(image) for image in images]

    def track(self, source: np.ndarray, *, persist: bool, tracker: str, **settings: Any) -> list:
        self.seen.append(([source.shape], {"persist": persist, "tracker": tracker, **settings}))
        return [self._result(source, track=True)]

    def _result(self, image: np.ndarray, track: bool = False) -> Any:
        import torch
        from ultralytics.engine.results import Results

        rows = []
        for cls, channel in ((0, 0), (1, 2)):
            others = np.delete(image, channel, axis=2).max(axis=2)
            mask = ((image[..., channel] > 150) & (others < 100)).astype(np.uint8)
            for x, y, w, h, area in cv2.connectedComponentsWithStats(mask)[2][1:]:
                if area > 50:
                    rows.append((area, [x, y, x + w, y + h], cls))
        rows.sort(key=lambda row: -row[0])
        data = [
            [*box, *([n + 1] if track else []), 0.9, cls] for n, (_, box, cls) in enumerate(rows)
        ]
        columns = 7 if track and data else 6
        boxes = torch.tensor(data, dtype=torch.float32).reshape(-1, columns)
        return Results(
            image,
            path="image0.jpg",
            names=self.names,
            boxes=boxes,
            keypoints=torch.zeros(len(data), 21, 3),
        )


@pytest.fixture(scope="session")
def tiny_reconstructor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reconstructor file of a random network, small enough to run in milliseconds."""
    import torch

    from wilor_yolo.mano.files import load_hand_model
    from wilor_yolo.reconstruct.checkpoints import save_network
    from wilor_yolo.reconstruct.config import NetworkConfig
    from wilor_yolo.reconstruct.network import HandNetwork

    torch.manual_seed(0)
    config = NetworkConfig(image_size=64, dim=32, depth=1, heads=2, scales=1)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_network(path, HandNetwork(config, load_hand_model()), {"steps": 0})
    return path


@pytest.fixture(scope="session")
def tiny_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector file of random weights: finds nothing above a score of 0.3."""
    import torch

    from wilor_yolo.detect.model import HandDetector

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    detector = HandDetector("yolo11n-hand-pose.yaml")
    detector.model.names = {0: "left", 1: "right"}  # a training takes them from the data YAML
    detector.save(path)
    return path


@pytest.fixture
def blobs(monkeypatch: pytest.MonkeyPatch) -> list[BlobDetector]:
    """Puts `BlobDetector` in the place of `HandDetector`; the list fills as they are made."""
    made: list[BlobDetector] = []

    def make(model: Any = None) -> BlobDetector:
        made.append(BlobDetector(model))
        return made[-1]

    monkeypatch.setattr("wilor_yolo.detect.model.HandDetector", make)
    return made


@pytest.fixture
def blob_finder() -> BlobDetector:
    """A `BlobDetector` on its own, with nothing replaced."""
    return BlobDetector()


@pytest.fixture
def painter() -> Any:
    """The function :func:`paint`."""
    return paint


@pytest.fixture
def write_video(tmp_path: Path) -> Any:
    """``write_video(frames, name, fps)`` -> path of an MP4 of BGR frames."""

    def write(frames: list[np.ndarray], name: str = "clip.mp4", fps: float = 10.0) -> Path:
        path = tmp_path / name
        height, width = frames[0].shape[:2]
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(path), fourcc, fps, (width, height))
        for frame in frames:
            writer.write(frame)
        writer.release()
        return path

    return write


@pytest.fixture
def write_stamped_video(tmp_path: Path) -> Any:
    """``write_stamped_video(frames, stamps, rate, clock)`` -> path of an MP4 of BGR frames.

    Frame i is shown at `stamps[i] / clock` seconds; the header says `rate` frames a second.
    """
    av = pytest.importorskip("av")

    def write(frames: list[np.ndarray], stamps: list[int], rate: int, clock: int) -> Path:
        path = tmp_path / "phone.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=rate)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, clock)
            for image, stamp in zip(frames, stamps, strict=True):
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                frame.pts, frame.time_base = stamp, Fraction(1, clock)
                for packet in stream.encode(frame):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
        return path

    return write
