"""``wilor-yolo bench``: how fast the chain runs on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..detect.working_point import IMAGE_SIZE
from .keys import choice, describe_keys, key, read_keys, text, whole
from .shared_keys import detector_key, device_key, hand_model_key, imgsz_key, reconstructor_key

if TYPE_CHECKING:
    import numpy as np
    from ultralytics.engine.results import Results

    from ..detect.model import HandDetector
    from ..reconstruct.predictor import HandReconstructor

__all__ = ["HELP", "ChainSpeed", "measure_chain", "run"]


@dataclass(frozen=True)
class BenchOptions:
    """The keys of ``wilor-yolo bench``."""

    source: str | None = key(None, text, "a picture", "the bundled picture")
    detector: str | None = detector_key()
    reconstructor: str | None = reconstructor_key()
    hand_model: str | None = hand_model_key()
    reconstructor_backend: str | None = key(
        None,
        choice("torch", "onnx", "openvino"),
        "what runs the reconstructor",
        "what the file is made for",
    )
    imgsz: int | None = imgsz_key()
    device: str = device_key()
    rounds: int = key(30, whole(1), "timed repetitions, after five to warm up")


HELP = f"""\
wilor-yolo bench: how fast detection and reconstruction run on this machine

  wilor-yolo bench
  wilor-yolo bench source=photo.jpg imgsz=640 rounds=100

Keys [defaults]:
{describe_keys(BenchOptions)}
"""


@dataclass(frozen=True)
class ChainSpeed:
    """Times of one picture, milliseconds, medians over the rounds.

    Attributes:
        detect: the detector, with its pre- and postprocessing.
        reconstruct: crops, network and the way back, all hands in one batch.
        hands: how many there were.
        pictures_per_second: of both together, from the mean.
        cpu: processor time of both, all threads, which other work on the machine hardly changes.
    """

    detect: float
    reconstruct: float
    hands: int
    pictures_per_second: float
    cpu: float


def give_boxes(result: Results, boxes: np.ndarray) -> None:
    """Put boxes (N, 6) x1, y1, x2, y2, score, class in the place of what was detected."""
    import torch

    result.keypoints = None
    result.update(boxes=torch.as_tensor(boxes, dtype=torch.float32))


def measure_chain(
    detector: HandDetector,
    reconstructor: HandReconstructor,
    image: np.ndarray,
    *,
    imgsz: int = IMAGE_SIZE,
    rounds: int = 30,
    warm_up: int = 5,
    device: str = "cpu",
    boxes: np.ndarray | None = None,
) -> ChainSpeed:
    """Time detector and reconstructor on one picture.

    Args:
        image: (H, W, 3) uint8, BGR.
        imgsz: longer side for the detector, px.
        rounds: timed repetitions.
        warm_up: repetitions before them.
        boxes: (N, 6) x1, y1, x2, y2, score, class to rebuild instead of what the detector finds,
            so that the work does not depend on it; the detector runs all the same.
    """
    import numpy as np

    detect, reconstruct, cpu, hands = [], [], [], 0
    for i in range(warm_up + rounds):
        start, start_cpu = time.perf_counter(), time.process_time()
        result = detector.predict(image, imgsz=imgsz, device=device, verbose=False)[0]
        found = time.perf_counter()
        if boxes is not None:
            give_boxes(result, boxes)
        hands = len(reconstructor.reconstruct(result))
        done = time.perf_counter()
        if i >= warm_up:
            detect.append(1e3 * (found - start))
            reconstruct.append(1e3 * (done - found))
            cpu.append(1e3 * (time.process_time() - start_cpu))
    return ChainSpeed(
        float(np.median(detect)),
        float(np.median(reconstruct)),
        hands,
        1e3 / float(np.mean(detect) + np.mean(reconstruct)),
        float(np.median(cpu)),
    )


def run(args: list[str]) -> int:
    """Run the verb."""
    options = read_keys(BenchOptions, args, "bench")
    from ..images import read_image
    from .predict import bundled_picture

    path = bundled_picture() if options.source is None else Path(options.source)
    image = read_image(path)

    import torch

    from ..pipeline import HandPipeline

    pipeline = HandPipeline(
        options.detector,
        options.reconstructor,
        hand_model=options.hand_model,
        reconstructor_backend=options.reconstructor_backend,
        device=options.device,
        imgsz=options.imgsz,
    )
    speed = measure_chain(
        pipeline.detector,
        pipeline.reconstructor,
        image,
        imgsz=pipeline.imgsz,
        rounds=options.rounds,
        device=pipeline.device,
    )
    height, width = image.shape[:2]
    print(f"{path.name}, {width}x{height} px, {speed.hands} hands, detector at {pipeline.imgsz} px")
    print(f"device         {pipeline.device}, {torch.get_num_threads()} CPU threads")
    print(f"detect         {speed.detect:8.1f} ms")
    print(f"reconstruct    {speed.reconstruct:8.1f} ms, {pipeline.reconstructor.backend}")
    print(f"CPU time       {speed.cpu:8.1f} ms, all threads")
    print(f"together       {speed.pictures_per_second:8.1f} pictures/s")
    return 0
