"""How fast detector and reconstructor run together, and what they keep in memory.

    python benchmarks/chain.py [--picture a.jpg] [--detector b.pt] [--reconstructor c.safetensors]

The picture is one of the sample set, or yours, scaled to 640 px; the reconstructor rebuilds the
hands of its label file, so that the numbers of different detectors can be compared. (Until 27 Nov
2026 the boxes were drawn on the bundled photograph where no hands are: of such crops everything is
doubted and looked at again, up to four times.) The memory test runs the same chain over frames of
changing content and prints the growth of the process from frame 100 on. Freed memory is kept, as
the command line keeps it.

Ultralytics sets torch's threads to one less than the cores when it first predicts on a CPU; that is
left alone, `--threads` overrides it. Measured on two cores beside other work (load 2.7): 10.4
pictures/s with one thread; with two, which then wait for each other, 2.6 and at worst 0.3.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np

from wilor_yolo.data.yolo_labels import label_path, read_labels
from wilor_yolo.detect.working_point import IMAGE_SIZE

SIDE = 640  # px, longer side of the picture
WARM_FRAMES = 100  # allocators and caches have settled by then
PICTURE = Path(__file__).parents[1] / "datasets/hand-sample/images/train/15.jpg"


def resident_megabytes() -> float:
    """Memory of this process that is in RAM now, MB (Linux), or at its highest (elsewhere)."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def import_seconds(statement: str) -> float:
    """Seconds a new Python takes for a statement, the best of three."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    return min(float(run.stdout.split()[-1]) for run in runs)


def labelled_boxes(picture: Path, image: np.ndarray) -> np.ndarray:
    """(N, 6) x1, y1, x2, y2, score, class of the hands in a picture's label file, px of `image`."""
    height, width = image.shape[:2]
    hands = read_labels(label_path(picture), (width, height))
    if not hands:
        sys.exit(f"{picture} has no labelled hands; give a picture of a dataset with labels/.")
    return np.array([[*hand.box, 0.9, hand.side] for hand in hands], np.float32)


def count_looks(reconstructor, result) -> int:
    """How many crops the network sees for the hands of one result: first and second looks, and
    mirrored ones where a side is doubted.
    """
    seen = []
    hook = reconstructor.network.register_forward_pre_hook(
        lambda module, inputs: seen.append(len(inputs[0]))
    )
    reconstructor.reconstruct(result)
    hook.remove()
    return sum(seen)


def memory_growth(
    detector, reconstructor, image: np.ndarray, boxes: np.ndarray, frames: int
) -> tuple[float, float]:
    """MB resident after the warm frames, and MB added by the `frames` after them."""
    from wilor_yolo.cli.bench import give_boxes

    rng = np.random.default_rng(0)
    before = 0.0
    for i in range(WARM_FRAMES + frames):
        if i == WARM_FRAMES:
            before = resident_megabytes()
        frame = np.roll(image, int(rng.integers(SIDE)), axis=1)
        result = detector.predict(frame, imgsz=IMAGE_SIZE, verbose=False)[0]
        # One to four hands: batches of changing size are what fragments memory.
        give_boxes(result, np.tile(boxes, (2, 1))[: int(rng.integers(1, 5))])
        reconstructor.reconstruct(result)
    return before, resident_megabytes() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", default=str(PICTURE))
    parser.add_argument("--detector", help="default: the shipped one")
    parser.add_argument("--reconstructor", help="default: the shipped one")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--frames", type=int, default=2000, help="of the memory test; 0: none")
    parser.add_argument("--threads", type=int, help="of torch; default: as Ultralytics sets them")
    args = parser.parse_args()

    imports = {s: import_seconds(s) for s in ("import wilor_yolo", "import torch, ultralytics")}

    import torch

    from wilor_yolo.cli.bench import give_boxes, measure_chain
    from wilor_yolo.detect.model import HandDetector
    from wilor_yolo.freed_memory import keep_freed_memory
    from wilor_yolo.images import read_image
    from wilor_yolo.reconstruct.predictor import HandReconstructor

    keep_freed_memory()
    image = read_image(args.picture)
    scale = SIDE / max(image.shape[:2])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    boxes = labelled_boxes(Path(args.picture).resolve(), image)

    start = time.perf_counter()
    detector = HandDetector(args.detector)
    reconstructor = HandReconstructor(args.reconstructor)
    loading = time.perf_counter() - start
    if args.threads:
        # The first prediction sets the number of threads; ours has to come after it.
        detector.predict(image, imgsz=IMAGE_SIZE, device="cpu", verbose=False)
        torch.set_num_threads(args.threads)
    speed = measure_chain(
        detector, reconstructor, image, imgsz=IMAGE_SIZE, rounds=args.rounds, boxes=boxes
    )
    result = detector.predict(image, imgsz=IMAGE_SIZE, verbose=False)[0]
    give_boxes(result, boxes)
    looks = count_looks(reconstructor, result)

    print(f"$ python {' '.join(sys.argv)}")
    print(f"{datetime.now(timezone.utc):%Y-%m-%d}, Python {platform.python_version()}, ", end="")
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()}, ",
        end="",
    )
    print(f"load {os.getloadavg()[0]:.1f} (other work on the machine slows these numbers)\n")
    height, width = image.shape[:2]
    print(f"| {width} x {height} px, detector at {IMAGE_SIZE} px, {speed.hands} hands | |")
    print("|---|---:|")
    print(f"| crops the network saw | {looks} |")
    print(f"| detect, ms | {speed.detect:.1f} |")
    print(f"| reconstruct, ms | {speed.reconstruct:.1f} |")
    print(f"| processor time of both, all threads, ms | {speed.cpu:.1f} |")
    print(f"| pictures/s | {speed.pictures_per_second:.1f} |")
    print(f"| loading both networks, s | {loading:.2f} |")
    for statement, seconds in imports.items():
        print(f"| `{statement}`, s | {seconds:.3f} |")
    if args.frames:
        before, growth = memory_growth(detector, reconstructor, image, boxes, args.frames)
        print(f"| resident after {WARM_FRAMES} frames, MB | {before:.0f} |")
        print(f"| added by {args.frames} frames more, MB | {growth:+.1f} |")


if __name__ == "__main__":
    main()
