"""What the rows of a detector's ablation reached: measured, kept, and printed beside the paper."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from ..grids import plan_of, results_text, write_results
from ..whole_files import write_text
from .ablation import PlannedRow
from .model import HandDetector
from .restricted import read_restricted

__all__ = ["RowResult", "format_table", "is_trained", "last_checkpoint", "measure", "read_result"]
__all__ += ["write_tables"]

RESULT_FILE = "result.json"


@dataclass(frozen=True)
class RowResult:
    """One line of the table.

    Attributes:
        name, title, hash: of the row; see `PlannedRow`.
        seed: of the run.
        state: "done", "not run", or why it failed.
        steps: batches it was trained with. None unless done; so are the following.
        minutes: of training.
        pictures, hands, data_hash: of the training set.
        parameters: of the network.
        megabytes: of the checkpoint, fp16.
        milliseconds: of the network a picture, on this machine while it did whatever else it did.
        scores: by test set: "ap50", "map" (left and right apart), "ap50_any", "map_any" (as one).
        paper: the paper's numbers.
    """

    name: str
    title: str
    hash: str
    seed: int
    state: str = "not run"
    steps: int | None = None
    minutes: float | None = None
    pictures: int | None = None
    hands: int | None = None
    data_hash: str = ""
    parameters: int | None = None
    megabytes: float | None = None
    milliseconds: float | None = None
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    paper: dict[str, float] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether there are numbers."""
        return self.state == "done"


def last_checkpoint(planned: PlannedRow) -> Path | None:
    """The row's last.pt, or None before the end of its first epoch."""
    path = planned.folder / "weights" / "last.pt"
    return path if path.is_file() else None


def is_trained(planned: PlannedRow) -> bool:
    """Whether the row's training came to its end."""
    last = last_checkpoint(planned)
    return last is not None and read_restricted(last).get("epoch") == -1


def measure(planned: PlannedRow, test_sets: Mapping[str, str]) -> RowResult:
    """Validate a trained row and keep the result in its folder.

    The weights are those of the end (`last.pt`): `best.pt` was chosen on validation pictures.

    Args:
        planned: the row.
        test_sets: name -> data YAML, whose `val` part is used.
    """
    last = last_checkpoint(planned)
    if last is None:
        raise WeightsError(f"{planned.folder} holds no last.pt")
    detector = HandDetector(last)
    shared = {"imgsz": planned.settings.get("imgsz"), "device": planned.settings.get("device")}
    shared = {k: v for k, v in shared.items() if v is not None}
    quiet = {"plots": False, "verbose": False, "batch": planned.settings["batch"]}
    quiet |= {"project": str(planned.folder), "name": "val", "exist_ok": True}
    scores, milliseconds = {}, 0.0
    for name, data in test_sets.items():
        sides = detector.val(data=data, **shared, **quiet)
        milliseconds = sides.speed["inference"]
        any_side = detector.val(data=data, single_cls=True, **shared, **quiet)
        scores[name] = {
            "ap50": float(sides.box.map50),
            "map": float(sides.box.map),
            "ap50_any": float(any_side.box.map50),
            "map_any": float(any_side.box.map),
        }
    epochs, seconds = _trained(planned.folder / "results.csv")
    row, data_set = planned.row, planned.training_set
    result = RowResult(
        row.name,
        row.title,
        planned.hash,
        int(planned.settings["seed"]),
        "done",
        steps=epochs * planned.batches,
        minutes=seconds / 60,
        pictures=data_set.pictures,
        hands=data_set.hands,
        data_hash=data_set.hash,
        parameters=sum(p.numel() for p in detector.model.parameters()),
        megabytes=last.stat().st_size / 1e6,
        milliseconds=milliseconds,
        scores=scores,
        paper=row.paper,
    )
    write_text(planned.folder / RESULT_FILE, json.dumps(asdict(result), indent=1) + "\n")
    return result


def read_result(planned: PlannedRow, state: str = "not run") -> RowResult:
    """What lies in a row's folder; `state` is said of a row that is not done."""
    row, file = planned.row, planned.folder / RESULT_FILE
    if file.is_file() and plan_of(planned.folder) == planned.digest:
        return RowResult(**json.loads(file.read_text(encoding="utf-8")))
    seed = int(planned.settings["seed"])
    return RowResult(row.name, row.title, planned.hash, seed, state, paper=row.paper)


def format_table(results: Sequence[RowResult]) -> str:
    """A markdown table that reads well as plain text; failed rows are named below it.

    AP in percent as in the paper; "any" counts a hand that is found with either side.
    """
    sets = list(dict.fromkeys(name for r in results for name in r.scores))
    head = ["row"]
    head += [f"{s} {label}" for s in sets for label in ("AP50", "mAP", "any AP50", "any mAP")]
    with_paper = any(r.paper for r in results)
    head += ["paper Oxford AP50/mAP", "paper WHIM AP50/mAP"] if with_paper else []
    head += ["MB", "ms", "steps", "min", "seed", "config", "data"]
    lines = []
    for r in results:
        cells = [r.title]
        for name in sets:
            found = r.scores.get(name, {})
            cells += [_percent(found.get(key)) for key in ("ap50", "map", "ap50_any", "map_any")]
        if with_paper:
            cells += [_pair(r.paper, "oxford"), _pair(r.paper, "whim")]
        cells += [_short(r.megabytes), _short(r.milliseconds)]
        cells += ["" if r.steps is None else str(r.steps), _short(r.minutes)]
        lines.append([*cells, str(r.seed), r.hash, r.data_hash])
    return results_text(head, lines, results)


def write_tables(results: Sequence[RowResult], out: Path) -> tuple[Path, Path]:
    """Write `out`/ablation.csv (everything measured) and `out`/ablation.md."""
    rows = []
    for result in results:
        row: dict[str, Any] = asdict(result)
        scores, paper = row.pop("scores"), row.pop("paper")
        row |= {f"{name} {k}": v for name, found in scores.items() for k, v in found.items()}
        rows.append(row | {f"paper {k}": v for k, v in paper.items()})
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return write_results(out, columns, rows, format_table(results))


def _trained(log: Path) -> tuple[int, float]:
    """Epochs and seconds of a run from its results.csv; its clock starts again on a resume."""
    epochs, seconds, before = 0, 0.0, 0.0
    with open(log, newline="", encoding="utf-8") as handle:
        for line in csv.DictReader(handle):
            values = {key.strip(): value for key, value in line.items()}
            epochs, now = int(values["epoch"]), float(values["time"])
            seconds += now - before if now >= before else now
            before = now
    return epochs, seconds


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _pair(paper: Mapping[str, float], name: str) -> str:
    if f"{name}_ap50" not in paper:
        return ""
    return f"{paper[f'{name}_ap50']:.2f}/{paper[f'{name}_map']:.2f}"
