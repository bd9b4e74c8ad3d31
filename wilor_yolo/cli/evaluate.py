"""``wilor-yolo evaluate detection|reconstruction``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .keys import describe_keys, key, maybe, read_keys, text, whole
from .verbs import choose

__all__ = ["HELP", "run"]


@dataclass(frozen=True)
class DetectionOptions:
    """The keys of ``evaluate detection``."""

    data: str = key(..., text, "folder of pictures with a labels.jsonl")
    detector: str | None = key(None, maybe(text), "detector file", "the shipped weights")
    imgsz: int | None = key(
        None, maybe(whole(32)), "longer side of the picture the detector sees, px", "its own"
    )


@dataclass(frozen=True)
class ReconstructionOptions:
    """The keys of ``evaluate reconstruction``."""

    data: str = key(..., text, "folder of pictures with a labels.jsonl, or of shards")
    reconstructor: str | None = key(None, maybe(text), "reconstructor file", "the shipped weights")
    hand_model: str | None = key(None, maybe(text), "MANO .pkl or .npz file", "the free hand")
    device: str = key("auto", text, "cpu, cuda:0, 0, mps; auto is the first GPU if there is one")
    limit: int | None = key(None, maybe(whole(1)), "shards: at most so many samples")


HELP = f"""\
wilor-yolo evaluate: measure on annotated data

  wilor-yolo evaluate detection      data=pictures detector=best.pt imgsz=320
  wilor-yolo evaluate reconstruction data=pictures
  wilor-yolo evaluate reconstruction data=shards/val reconstructor=final.safetensors

detection [defaults]:
{describe_keys(DetectionOptions)}
reconstruction, from true boxes [defaults]:
{describe_keys(ReconstructionOptions)}
"""


def run(args: list[str]) -> int:
    """Run the verb."""
    part, rest = choose("evaluate", args, ("detection", "reconstruction"))
    return _detection(rest) if part == "detection" else _reconstruction(rest)


def _detection(args: Sequence[str]) -> int:
    options = read_keys(DetectionOptions, args, "evaluate detection")
    from ..detect.model import HandDetector
    from ..evaluate.detection import evaluate_detector, format_table

    with _progress() as report:
        results = evaluate_detector(
            HandDetector(options.detector), options.data, imgsz=options.imgsz, progress=report
        )
    print(format_table(results))
    return 0


def _reconstruction(args: Sequence[str]) -> int:
    options = read_keys(ReconstructionOptions, args, "evaluate reconstruction")
    from ..evaluate.reconstruction import evaluate_pictures, evaluate_shards
    from ..reconstruct.predictor import HandReconstructor
    from .devices import torch_device

    reconstructor = HandReconstructor(
        options.reconstructor,
        hand_model=options.hand_model,
        device=torch_device(options.device),
    )
    if (Path(options.data) / "labels.jsonl").is_file():
        with _progress() as report:
            print(evaluate_pictures(reconstructor, options.data, progress=report))
    else:
        print(evaluate_shards(reconstructor, options.data, limit=options.limit))
    return 0


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("pictures", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
