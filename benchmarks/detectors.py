"""Hand detectors side by side in one run, on the same pictures: speed and precision.

    python benchmarks/detectors.py --data pictures --mediapipe mediapipe-0.10.21-....whl \\
        [--mediapipe-python other/bin/python] [--weights hand-n.pt hand-s.pt] [--sizes 320 640]

Ours run in torch and as exports made by this script, MediaPipe Hands as its two networks on
OpenVINO and, with --mediapipe-python, as its package in another environment. Precision is that of
`wilor-yolo evaluate detection`: MediaPipe is asked for every hand it can give, down to scores it
would hide in use. Speed is that of use: score from 0.25 up, MediaPipe at its own thresholds; a
picture at a time from memory to hands, letterboxing and suppression included. The detectors take
turns, a few pictures each, so that other work on the machine hits all of them alike. Pictures a
second are given by the clock, and by the processor time of the process: on one core the second is
what that core would give if it were free. Batches are timed the same way. Give the process the
cores it shall use (`taskset -c 0` for one); ONNX Runtime is held to them here, it would take all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from wilor_yolo import HandDetector
from wilor_yolo.cli.evaluate_detection import true_pictures
from wilor_yolo.cli.peers import Peer, open_peer
from wilor_yolo.cli.weights import sha256
from wilor_yolo.evaluate.detection import WORKING_SCORE, Finder, ask, measure
from wilor_yolo.images import read_image
from wilor_yolo.weights_dir import shipped

BACKENDS = ("torch", "onnx", "openvino")
TURN = 24  # pictures a detector runs before the next one does
BATCH = 8
Frame = tuple[Path, np.ndarray]  # picture BGR
HEADLINE = ("subhi", "hand_graph_cnn")  # sources with complete boxes that no training has seen


# Numbers of pictures -> seconds a picture, by the clock and of the processor.
Turn = Callable[[Sequence[int]], tuple[float, float]]


@dataclass
class Candidate:
    """A detector with what was measured of it.

    `turn` runs the pictures of the given numbers one by one, `batches` several at a time (None
    where that is not offered).
    """

    label: str
    megabytes: float
    find: Finder
    turn: Turn
    batches: Turn | None = None
    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    batched: list[float] = field(default_factory=list)
    scored: bool = True
    scores: dict[str, float] = field(default_factory=dict)


def timed_turn(run: Callable[[Sequence[int]], object]) -> Turn:
    """A turn that is timed in this process."""

    def turn(numbers: Sequence[int]) -> tuple[float, float]:
        begin, used = time.perf_counter(), time.process_time()
        run(numbers)
        clock, processor = time.perf_counter() - begin, time.process_time() - used
        return clock / len(numbers), processor / len(numbers)

    return turn


def one_by_one(label: str, peer: Peer, frames: Sequence[Frame]) -> Candidate:
    """A detector of `wilor-yolo evaluate`."""

    def run(numbers: Sequence[int]) -> None:
        for number in numbers:
            peer.work(*frames[number])

    return Candidate(label, peer.megabytes, peer.find, timed_turn(run))


def in_batches(file: Path, size: int, frames: Sequence[Frame]) -> Turn:
    """One of ours with several pictures at a time."""
    detector = HandDetector(file)

    def run(numbers: Sequence[int]) -> None:
        for first in range(0, len(numbers), BATCH):
            images = [frames[number][1] for number in numbers[first : first + BATCH]]
            detector.predict(images, imgsz=size, conf=WORKING_SCORE, verbose=False)

    return timed_turn(run)


def package(python: str, pictures: Sequence, timed: Sequence, folder: Path) -> Candidate:
    """MediaPipe's package in an environment of its own; the first pictures are the timed ones."""
    files = [str(p.file) for p in timed]
    files += [str(p.file) for p in pictures if str(p.file) not in set(files)]
    listing, out = folder / "pictures.txt", folder / "detections.json"
    listing.write_text("\n".join(files), encoding="utf-8")
    script = Path(__file__).with_name("mediapipe_package.py")
    child = subprocess.Popen(
        [python, str(script), str(listing), str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdin is not None and child.stdout is not None
    if child.stdout.readline().strip() != "ready":
        raise SystemExit(f"{python} {script} failed; is mediapipe 0.10.21 installed there?")

    def turn(numbers: Sequence[int]) -> tuple[float, float]:
        print(*numbers, file=child.stdin, flush=True)
        clock, processor = child.stdout.readline().split()
        return float(clock), float(processor)

    return Candidate("mediapipe package", float("nan"), open_peer(str(out)).find, turn)


def untrained(yaml: Path, folder: Path) -> Path:
    """A network without training: it has a speed, but finds nothing."""
    file = folder / f"{yaml.stem}-untrained.pt"
    HandDetector(yaml).save(str(file))
    return file


def exported(weights: Path, backend: str, size: int, folder: Path) -> Path:
    """The weights for a backend; input of any shape up to `size` px, as torch gets it."""
    if backend == "torch":
        return weights
    copy = folder / f"{weights.stem}-{backend}-{size}.pt"
    shutil.copy(weights, copy)
    made = HandDetector(copy).export(format=backend, imgsz=size, dynamic=True, verbose=False)
    return Path(made)


def hold_onnxruntime() -> None:
    """ONNX Runtime starts a thread for every core of the machine and binds it there, whatever cores
    this process has; Ultralytics leaves it at that."""
    import onnxruntime

    original = onnxruntime.SessionOptions

    def options() -> object:
        made = original()
        made.intra_op_num_threads = len(os.sched_getaffinity(0))
        return made

    onnxruntime.SessionOptions = options


def candidates(
    args: argparse.Namespace, pictures: Sequence, timed: Sequence, folder: Path
) -> Iterator[Candidate]:
    """Ours by weights, size and backend, then MediaPipe."""
    frames = [(picture.file, read_image(picture.file)) for picture in timed]
    for given in args.weights:
        weights = untrained(given, folder) if given.suffix == ".yaml" else given
        for size in args.sizes:
            for backend in args.backends:
                file = exported(weights, backend, size, folder)
                peer = open_peer(str(file), size)
                entry = one_by_one(f"{weights.stem} {size} {backend}", peer, frames)
                entry.batches = in_batches(file, size, frames)
                entry.scored = weights == given
                yield entry
    if args.mediapipe is not None:
        peer = open_peer("mediapipe", mediapipe=args.mediapipe)
        yield one_by_one("mediapipe openvino", peer, frames)
    if args.mediapipe_python is not None:
        yield package(args.mediapipe_python, pictures, timed, folder)


def time_in_turns(entries: Sequence[Candidate], pictures: int, rounds: int) -> None:
    """Add seconds a picture, by the clock and of the processor, for each round."""
    for entry in entries:
        for turn in filter(None, (entry.turn, entry.batches)):
            turn(range(pictures))  # some backends compile for each shape they meet
    for number in range(rounds):
        numbers = [(number * TURN + step) % pictures for step in range(TURN)]
        for entry in entries:
            clock, processor = entry.turn(numbers)
            entry.clock.append(clock)
            entry.processor.append(processor)
            if entry.batches is not None:
                entry.batched.append(entry.batches(numbers)[1])


def score(entry: Candidate, pictures: Sequence) -> None:
    """Precision over all pictures whose boxes are complete, and what the hard sources say."""
    answers = ask(entry.find, pictures)
    everything = measure("all", answers)
    hard = measure("hard", [a for a in answers if a[0].source in HEADLINE])
    true_sides = measure("sides", [a for a in answers if a[0].source == "hand_graph_cnn"])
    varied = measure("rps", [a for a in answers if a[0].source == "rps_sxsw"])
    empty = measure("none", [a for a in answers if a[0].source == "no_hands"])
    entry.scores = {
        "AP50": everything.ap50,
        "mAP": everything.ap,
        "AP50 hard": hard.ap50,
        "mAP hard": hard.ap,
        "recall rps": varied.recall,
        "FP/pic none": empty.false_positives,
        "side": true_sides.handedness,
    }


def report(entries: Sequence[Candidate]) -> str:
    """A Markdown table; speed as the median of the rounds."""
    names = max((list(entry.scores) for entry in entries), key=len)
    heads = ["detector", "MB", "pictures/s", "of a free core", f"{BATCH} at a time", *names]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for entry in entries:
        clock, processor = np.median(entry.clock), np.median(entry.processor)
        cells = [entry.label, f"{entry.megabytes:.1f}", f"{1 / clock:.1f}", f"{1 / processor:.1f}"]
        cells.append(f"{1 / np.median(entry.batched):.1f}" if entry.batched else "-")
        cells += [f"{entry.scores[name]:.3f}" if entry.scores else "-" for name in names]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with labels.jsonl, or a data YAML")
    parser.add_argument("--mediapipe", help="mediapipe's wheel or a folder with its files")
    parser.add_argument("--mediapipe-python", help="Python of an environment with mediapipe")
    parser.add_argument(
        "--weights",
        type=Path,
        nargs="+",
        default=[shipped("hand-n.pt")],
        help="detector files; the name of a model YAML is timed untrained",
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[320, 640])
    parser.add_argument("--backends", choices=BACKENDS, nargs="+", default=list(BACKENDS))
    parser.add_argument("--pictures", type=int, default=300, help="for precision, spread evenly")
    parser.add_argument("--rounds", type=int, default=3, help=f"of {TURN} pictures each, for speed")
    parser.add_argument("--out", type=Path, help="JSON with all numbers")
    args = parser.parse_args()

    if "onnx" in args.backends:
        hold_onnxruntime()
    pictures = true_pictures(args.data)
    pictures = pictures[:: max(1, len(pictures) // args.pictures)]
    timed = pictures[:: max(1, len(pictures) // (TURN * args.rounds))]
    with tempfile.TemporaryDirectory() as folder:
        entries = list(candidates(args, pictures, timed, Path(folder)))
        time_in_turns(entries, len(timed), args.rounds)
        for entry in entries:
            if entry.scored:
                score(entry, pictures)
            print(entry.label, file=sys.stderr)
    print(f"{len(pictures)} pictures, {len(timed)} of them timed, {args.rounds} rounds")
    for weights in args.weights:
        if weights.is_file():
            print(f"{weights.name} {sha256(weights)[:12]}")
    print(report(entries))
    if args.out is not None:
        numbers = {
            e.label: {
                "clock": e.clock,
                "processor": e.processor,
                "batched": e.batched,
                **e.scores,
            }
            for e in entries
        }
        when = datetime.now(timezone.utc).isoformat(timespec="seconds")
        record = {"when": when, "machine": platform.platform(), "detectors": numbers}
        args.out.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
