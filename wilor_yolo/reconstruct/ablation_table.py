"""What the runs of an ablation reached, as text, CSV and markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..grids import plan_of, results_text, write_results
from .ablation import PlannedRow
from .checkpoints import read_info
from .run_files import RunLog

__all__ = ["RowResult", "format_table", "read_result", "write_tables"]

WEIGHTS = "final.safetensors"
# Of val.csv: what the table shows, with its heading.
_SHOWN = {"pa_mpjpe": "PA-MPJPE mm", "pa_mpvpe": "PA-MPVPE mm", "error_2d": "2D % box"}


@dataclass(frozen=True)
class RowResult:
    """One line of the table.

    Attributes:
        name, title, hash: of the row; see `PlannedRow`.
        seed: of the run.
        state: "done", "not run", or why it failed.
        steps: optimiser steps, None unless done. So are the following.
        minutes: trained.
        data_hash: of the samples it saw.
        samples: in its data.
        errors: by source and metric, of the averaged weights at the end of the run.
        paper: the paper's numbers.
    """

    name: str
    title: str
    hash: str
    seed: int
    state: str = "not run"
    steps: int | None = None
    minutes: float | None = None
    data_hash: str = ""
    samples: int | None = None
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    paper: dict[str, float] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether there are numbers."""
        return self.state == "done"


def read_result(planned: PlannedRow, state: str = "not run") -> RowResult:
    """What lies in a row's folder; `state` is said of a row that is not done."""
    row = planned.row
    weights = planned.folder / WEIGHTS
    about = (row.name, row.title, planned.hash, planned.config.seed)
    if not weights.is_file() or plan_of(planned.folder) != planned.hash:
        return RowResult(*about, state, paper=row.paper)
    info = read_info(weights)
    steps = int(info["steps"])
    errors: dict[str, dict[str, float]] = {}
    for line in RunLog(planned.folder / "val.csv").rows():
        if int(line["step"]) == steps:
            errors[line["source"]] = {
                key: float(value)
                for key, value in line.items()
                if key not in ("step", "seconds", "source") and value
            }
    return RowResult(
        *about,
        "done",
        steps,
        float(info["minutes"]),
        str(info["data_hash"]),
        int(info["samples"]),
        errors,
        row.paper,
    )


def format_table(results: Sequence[RowResult]) -> str:
    """A markdown table that reads well as plain text; failed rows are named below it."""
    sources = _sources(results)
    head = ["row"]
    head += [f"{source} {label}" for source in sources for label in _SHOWN.values()]
    head += ["paper PA-MPJPE"] if any(r.paper for r in results) else []
    head += ["steps", "min", "seed", "config", "data"]
    lines = []
    for result in results:
        cells = [result.title]
        for source in sources:
            errors = result.errors.get(source, {})
            cells += [_number(errors.get(key), key) for key in _SHOWN]
        if "paper PA-MPJPE" in head:
            cells.append(f"{result.paper['pa_mpjpe']:g}" if "pa_mpjpe" in result.paper else "")
        cells += [
            "" if result.steps is None else str(result.steps),
            "" if result.minutes is None else f"{result.minutes:.1f}",
            str(result.seed),
            result.hash,
            result.data_hash,
        ]
        lines.append(cells)
    return results_text(head, lines, results)


def write_tables(results: Sequence[RowResult], out: Path) -> tuple[Path, Path]:
    """Write `out`/ablation.csv (everything measured) and `out`/ablation.md."""
    names = sorted({key for r in results for errors in r.errors.values() for key in errors})
    columns = [f"{source} {name}" for source in _sources(results) for name in names]
    rows = []
    for result in results:
        row: dict[str, object] = {
            "row": result.name,
            "title": result.title,
            "state": result.state,
            "steps": result.steps,
            "minutes": result.minutes,
            "seed": result.seed,
            "config_hash": result.hash,
            "data_hash": result.data_hash,
            "samples": result.samples,
        }
        for source, errors in result.errors.items():
            row |= {f"{source} {key}": value for key, value in errors.items()}
        row |= {f"paper {key}": value for key, value in result.paper.items()}
        rows.append(row)
    columns += sorted({key for row in rows for key in row if key.startswith("paper ")})
    head = list(rows[0])[:9] if rows else []
    return write_results(out, [*head, *columns], rows, format_table(results))


def _sources(results: Sequence[RowResult]) -> list[str]:
    return list(dict.fromkeys(source for r in results for source in r.errors))


def _number(value: float | None, key: str) -> str:
    if value is None:
        return ""
    return f"{100 * value:.2f}" if key == "error_2d" else f"{value:.2f}"
