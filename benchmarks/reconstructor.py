"""Every size of the reconstructor on every backend; the crop stage beside the released one.

    python benchmarks/reconstructor.py
    python benchmarks/reconstructor.py --networks vit-huge --backends torch --batches 1 2

One table of networks (random weights; speed does not depend on them): crops in, vertices out,
milliseconds a hand by batch, peak memory of a process that does nothing else, floating-point rate
beside that of a plain matrix product, measured in the same process just before. And one table of
the crop stage: ours, and a straightforward implementation of the released preprocessing, which
blurs and flips the whole picture for every hand.

With one thread the clock is the processor's, which other work on the machine hardly moves; with
more it is the wall's. Of several repetitions the fastest counts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import torch

from wilor_yolo.crops import IMAGE_MEAN, IMAGE_STD, CropGeometry, crop_hands, normalise
from wilor_yolo.released_crops import SIZE, released_crop_geometry, released_crops

NETWORKS = (
    "vit-tiny",
    "vit-small",
    "vit-base",
    "vit-huge",
    "hybrid-s",
    "landmark-s",
    "yolo-s",
    "fastvit",
)
BACKENDS = ("torch", "onnx", "openvino")
SECONDS = 1.0  # repeat for so long,
REPEATS = 5  # but no more often than that
SLOW = 10.0  # seconds; what takes longer is timed once, without a warm-up
LONGEST = 60.0  # seconds; larger batches than fit are left out
PRODUCT = 2048  # side of the matrices whose product is the machine's peak
PICTURES = ((640, 480), (1632, 1224), (4000, 3000))


@dataclass(frozen=True)
class Row:
    """A network on a backend.

    Attributes:
        milliseconds: a hand, by batch.
        memory: peak resident set of the process, MB.
        peak: GFLOP/s of a matrix product, torch's or numpy's, whichever is faster.
    """

    milliseconds: dict[int, float]
    memory: float
    peak: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    parser.add_argument("--backends", nargs="*", default=BACKENDS, choices=BACKENDS)
    parser.add_argument("--batches", nargs="*", type=int, default=(1, 2, 8))
    args = parser.parse_args()
    batches = tuple(sorted(args.batches))
    threads = torch.get_num_threads()
    cv2.setNumThreads(threads)
    print(f"$ python {' '.join(sys.argv)}")
    print(
        f"{datetime.now(timezone.utc):%Y-%m-%d}, Python {platform.python_version()}, torch "
        f"{torch.__version__}, {threads} threads, load {os.getloadavg()[0]:.1f}\n"
    )
    _apart(crop_table)
    heads = [f"ms a hand, {n}" for n in batches]
    columns = ["network", "M", "GFLOP", "backend", *heads, "MB", "GFLOP/s", "of peak"]
    print("\n| " + " | ".join(columns) + " |")
    print("|---|---:|---:|---|" + "---:|" * (len(heads) + 3), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for network in args.networks:
            file = Path(folder) / f"{network}.onnx"
            parameters, work = _apart(prepare, network, file, args.backends)
            for backend in args.backends:
                row: Row = _apart(measure, network, file, backend, batches)
                rate = max(work / ms * 1e3 for ms in row.milliseconds.values())
                cells = [
                    network,
                    f"{parameters:.1f}",
                    f"{work:.2f}",
                    backend,
                    *(
                        f"{row.milliseconds[n]:.1f}" if n in row.milliseconds else ""
                        for n in batches
                    ),
                    f"{row.memory:.0f}",
                    f"{rate:.0f}",
                    f"{100 * rate / row.peak:.0f} % of {row.peak:.0f}",
                ]
                print("| " + " | ".join(cells) + " |", flush=True)
            for part in Path(folder).iterdir():
                part.unlink()


def prepare(network: str, file: Path, backends: tuple[str, ...]) -> tuple[float, float]:
    """Export a random network if a backend needs it; (million parameters, GFLOP a hand)."""
    from torch.utils.flop_counter import FlopCounterMode

    from wilor_yolo.reconstruct.export import export_network

    model = build(network)
    side = model.config.image_size
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, side, side))
    if set(backends) - {"torch"}:
        export_network(file, model)
    parameters = sum(p.numel() for p in model.parameters())
    return parameters / 1e6, counter.get_total_flops() / 1e9


def build(network: str):
    """A network of that name with random weights."""
    from wilor_yolo.mano.files import load_hand_model
    from wilor_yolo.reconstruct.config import NetworkConfig
    from wilor_yolo.reconstruct.network import HandNetwork

    torch.manual_seed(0)
    return HandNetwork(NetworkConfig.from_yaml(network), load_hand_model()).eval()


def measure(name: str, file: Path, backend: str, batches: tuple[int, ...]) -> Row:
    """Load and time; the process is this function's own."""
    from wilor_yolo.reconstruct.exported import load_exported

    a, b = torch.randn(PRODUCT, PRODUCT), torch.randn(PRODUCT, PRODUCT)
    products = [_milliseconds(lambda x=x, y=y: x @ y) for x, y in ((a, b), (a.numpy(), b.numpy()))]
    peak = 2 * PRODUCT**3 / min(products) / 1e6
    if backend == "torch":
        network = build(name).to(memory_format=torch.channels_last)
    else:
        network = load_exported(file, backend)
    side = network.config.image_size
    times = {}
    with torch.inference_mode():
        for count in batches:
            if times and count * times[max(times)] > 1e3 * LONGEST:
                break
            crops = torch.randn(count, 3, side, side).to(memory_format=torch.channels_last)
            times[count] = _milliseconds(lambda crops=crops: network(crops)) / count
    return Row(times, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, peak)


def crop_table() -> None:
    """Two hands, one left, whose boxes are a quarter of the picture's height."""
    print(
        "| picture, two hands | ours, ms | released crops, ms | straightforward, ms | ours faster |"
    )
    print("|---|---:|---:|---:|---:|")
    for width, height in PICTURES:
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        side = height / 4
        corners = np.array([[width * 0.2, height * 0.3], [width * 0.55, height * 0.5]])
        geometry = released_crop_geometry(np.hstack((corners, corners + side)), [True, False])
        expected, found = straightforward(image, geometry), released_crops(image, geometry)
        assert np.abs(expected - found).max() < 1e-3, "the two are not the same crop"
        ours = _milliseconds(lambda i=image, g=geometry: normalise(crop_hands(i, g, SIZE)))
        exact = _milliseconds(lambda i=image, g=geometry: released_crops(i, g))
        plain = _milliseconds(lambda i=image, g=geometry: straightforward(i, g))
        size = f"{width * height / 1e6:.1f} megapixels"
        print(f"| {size} | {ours:.1f} | {exact:.1f} | {plain:.1f} | {plain / ours:.1f}x |")


def straightforward(image: np.ndarray, geometry: CropGeometry) -> np.ndarray:
    """The released preprocessing as one would write it from its description.

    Where a crop shrinks the picture more than 2.2 times, the whole picture is blurred in double
    precision; for a left hand all of it is mirrored; then an affine warp, and the normalisation.
    """
    from scipy.ndimage import gaussian_filter

    crops = []
    for (x, y), side, is_right in zip(
        geometry.center, geometry.size, geometry.is_right, strict=True
    ):
        picture, shrink = image, side / SIZE / 2
        if shrink > 1.1:
            sigma = (shrink - 1) / 2
            picture = gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="nearest")
        if not is_right:
            picture, x = np.ascontiguousarray(picture[:, ::-1]), image.shape[1] - x - 1
        here = np.array([[x, y], [x, y + side / 2], [x + side / 2, y]], np.float32)
        there = np.array([[128, 128], [128, 256], [256, 128]], np.float32)
        warp = cv2.getAffineTransform(here, there)
        crop = cv2.warpAffine(picture, warp, (SIZE, SIZE), flags=cv2.INTER_LINEAR)[..., ::-1]
        crops.append(((crop / 255 - IMAGE_MEAN) / IMAGE_STD).transpose(2, 0, 1))
    return np.stack(crops).astype(np.float32)


def _milliseconds(work: Callable[[], object]) -> float:
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    if (first := _timed(work, clock)) > SLOW:
        return 1e3 * first
    best, spent = np.inf, 0.0
    for _ in range(REPEATS):
        taken = _timed(work, clock)
        best, spent = min(best, taken), spent + taken
        if spent > SECONDS:
            break
    return 1e3 * best


def _timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def _apart(function: Callable, *args: object):
    """The function's result, from a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


if __name__ == "__main__":
    main()
