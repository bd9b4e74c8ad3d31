"""``wilor-yolo detect ablate``: the rows of the paper's Table 2, one training after the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import HandError, did_you_mean
from .rows import chosen_rows, run_row, run_rows, words_in

if TYPE_CHECKING:
    from ..detect.ablation import DetectorRow, PlannedRow
    from ..detect.ablation_table import RowResult

__all__ = ["KEYS", "ablate"]

KEYS = ("grid", "out", "rows", "steps", "test")


def ablate(values: dict[str, Any], of_rows: dict[str, Any]) -> int:
    """Run a grid.

    Args:
        values: checked keys of the command line: `KEYS`, and those of `detect train`.
        of_rows: `ROW.KEY` -> value, for single rows.

    Returns:
        0, or 1 when a row failed.
    """
    from ..detect.ablation import load_grid, plan_row
    from ..detect.ablation_table import (
        is_trained,
        last_checkpoint,
        measure,
        read_result,
        write_tables,
    )
    from ..detect.model import data_yaml

    grid = str(values.pop("grid", "table2"))
    out = Path(str(values.pop("out", f"runs/ablate/{Path(grid).stem}")))
    wanted, steps = values.pop("rows", None), values.pop("steps", None)
    if steps is not None and (not isinstance(steps, int) or steps < 1):
        raise HandError(f"steps={steps} should be a whole number from 1 up.")
    if steps is not None and "epochs" in values:
        raise HandError("give steps= (the same batches for every row) or epochs=, not both.")
    if not values.get("data"):
        raise HandError("detect ablate needs data=: the data YAML that all rows train on.")
    values["data"] = data_yaml(values["data"])
    if values.get("resume"):
        raise HandError("an ablation goes on by itself: the same command again, without resume=.")
    test_sets = _test_sets(values.pop("test", None) or values["data"])
    base = {"model": "yolov8m-hand-pose.yaml", "val": False, "plots": False, **values}
    rows = _with_row_keys(chosen_rows(load_grid(grid), wanted), of_rows)
    planned: list[PlannedRow] = []
    results: dict[str, RowResult] = {}
    seen: dict[Any, Any] = {}
    for row in rows:
        try:
            planned.append(plan_row(row, base, out, steps, seen))
        except HandError as error:
            if row.data is None:  # everybody's trouble
                raise
            results[row.name] = _unplanned(row, str(error))
            print(f"{row.name} cannot run: {error}", file=sys.stderr, flush=True)

    def train(plan: PlannedRow, config: Path) -> str | None:
        complaint = None
        if not is_trained(plan):
            last = last_checkpoint(plan)
            complaint = _train([f"resume={last}"] if last else [f"cfg={config}"])
        if complaint is None:
            measure(plan, test_sets)
        return complaint

    def tables(failed: dict[str, str]) -> Path:
        for plan in planned:
            results[plan.row.name] = read_result(plan, failed.get(plan.row.name, "not run"))
        return write_tables([results[row.name] for row in rows], out)[1]

    run_rows(planned, lambda plan: read_result(plan).done, train, tables)
    print(f"Tables: {out / 'ablation.csv'}, {out / 'ablation.md'}")
    return 0 if all(result.done for result in results.values()) else 1


def _train(words: list[str]) -> str | None:
    return run_row(["detect", "train", *words])


def _test_sets(given: Any) -> dict[str, str]:
    """Name -> data YAML. Files called data.yaml go by their folder's name."""
    from ..detect.model import data_yaml

    found: dict[str, str] = {}
    for one in words_in(given):
        path = Path(data_yaml(one)).resolve()
        name = path.parent.name if path.stem in {"data", "dataset"} else path.stem
        if name in found:
            raise HandError(f"test: two data sets are called {name}; rename one of the files.")
        found[name] = str(path)
    return found


def _with_row_keys(rows: Sequence[DetectorRow], of_rows: dict[str, Any]) -> list[DetectorRow]:
    by_name = {row.name: row for row in rows}
    for key, value in of_rows.items():
        name, _, tail = key.partition(".")
        if name not in by_name:
            raise HandError(f"{key}: no such row is chosen.{did_you_mean(name, by_name)}")
        row = by_name[name]
        if tail == "model":
            by_name[name] = replace(row, model=str(value))
        elif tail == "data":
            by_name[name] = replace(row, data=str(value))
        else:
            by_name[name] = replace(row, train={**row.train, tail: value})
    return list(by_name.values())


def _unplanned(row: DetectorRow, reason: str) -> RowResult:
    from ..detect.ablation_table import RowResult

    return RowResult(row.name, row.title, "", 0, reason, paper=row.paper)
