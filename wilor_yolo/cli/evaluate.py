"""``wilor-yolo evaluate detection``."""

from __future__ import annotations

from dataclasses import dataclass

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


HELP = f"""\
wilor-yolo evaluate: measure on annotated pictures

  wilor-yolo evaluate detection data=pictures detector=best.pt imgsz=320

detection [defaults]:
{describe_keys(DetectionOptions)}
"""


def run(args: list[str]) -> int:
    """Run the verb."""
    _, rest = choose("evaluate", args, ("detection",))
    options = read_keys(DetectionOptions, rest, "evaluate detection")
    from rich.console import Console
    from rich.progress import Progress

    from ..detect.model import HandDetector
    from ..evaluate.detection import evaluate_detector, format_table

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("pictures", total=None)
        results = evaluate_detector(
            HandDetector(options.detector),
            options.data,
            imgsz=options.imgsz,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(format_table(results))
    return 0
