"""What the ablations of both wings share: grids of rows, folders that know their plan, tables.

A grid is a yaml file `rows: {name: {title: ..., ...}}`; what else a row may hold is the wing's
affair.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .errors import HandError
from .whole_files import replacing, write_text
from .yaml_files import find_yaml, read_yaml

__all__ = [
    "claim_folder",
    "markdown_table",
    "plan_of",
    "read_grid",
    "results_text",
    "write_csv",
    "write_results",
]

PLAN_FILE = "row.json"


def read_grid(source: str, shipped: Path, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The rows of a grid, by name.

    Args:
        source: name of a grid in `shipped`, or a yaml file.
        shipped: folder of the grids that come with the package.
        keys: what a row may hold.

    Raises:
        HandError: no such grid, or another layout.
    """
    content = read_yaml(find_yaml(source, shipped, "grid"))
    try:
        rows = {str(name): dict(values or {}) for name, values in content["rows"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise HandError(f"{source} is no grid; it should hold rows: {{name: {{...}}}}.") from None
    for name, values in rows.items():
        if unknown := sorted(set(values) - set(keys)):
            raise HandError(
                f"{source}: row {name} has unknown keys {', '.join(unknown)}; known: "
                f"{', '.join(keys)}."
            )
    return rows


def claim_folder(folder: Path, row: str, digest: str) -> None:
    """Make a row's folder, or go on in it.

    Args:
        folder: of the row's run.
        row: its name.
        digest: of everything that changes its result.

    Raises:
        HandError: the folder holds the same row of another plan.
    """
    before = plan_of(folder)
    if before not in (None, digest):
        raise HandError(
            f"{folder} was trained with other settings ({before}, now {digest}); "
            "give another out= folder."
        )
    write_text(folder / PLAN_FILE, json.dumps({"row": row, "hash": digest}))


def plan_of(folder: Path) -> str | None:
    """The digest a folder was claimed with, or None."""
    plan = folder / PLAN_FILE
    if not plan.is_file():
        return None
    return str(json.loads(plan.read_text(encoding="utf-8")).get("hash"))


def markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A markdown table that reads well as plain text; all columns but the first are numbers."""
    every = [list(head), ["---"] + ["---:"] * (len(head) - 1), *map(list, lines)]
    widths = [max(len(line[i]) for line in every) for i in range(len(head))]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in every
    )


class _Result(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def state(self) -> str: ...


def results_text(
    head: Sequence[str], lines: Iterable[Sequence[str]], results: Iterable[_Result]
) -> str:
    """:func:`markdown_table`, with the rows that are not done named below it."""
    unfinished = [f"{r.name}: {r.state}" for r in results if r.state != "done"]
    return "\n".join([markdown_table(head, lines), *([""] if unfinished else []), *unfinished])


def write_results(
    out: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]], text: str
) -> tuple[Path, Path]:
    """Write `out`/ablation.csv (everything measured) and `out`/ablation.md (`text`)."""
    table, markdown = out / "ablation.csv", out / "ablation.md"
    write_csv(table, columns, rows)
    write_text(markdown, text + "\n")
    return table, markdown


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a CSV file, whole or not at all; what a row lacks stays empty."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
