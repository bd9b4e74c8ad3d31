"""``wilor-yolo reconstruct ablate``: the rows of an ablation, one training after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import HandError
from .rows import chosen_rows, run_row, run_rows

if TYPE_CHECKING:
    from ..reconstruct.ablation import AblationRow, PlannedRow
    from ..reconstruct.ablation_table import RowResult

__all__ = ["HELP", "ablate"]

HELP = """\
ablate: the rows of a grid on the same data and budget; prints a table after every row
  grid=           table5 (the paper's), ours, trunks, or a yaml file like those [table5]
  out=            folder; a run in it for each row, ablation.csv and ablation.md
                  [runs/ablate/GRID]; the same command again goes on where it was
  rows=           only these rows, as in rows=[full, single-scale]
  config= data= data_root= val= steps= minutes= ...   as for train, for all rows
  ROW.KEY=        for one row: fastvit.init=fastvit.pt freihand.data=mine.yaml
"""


def ablate(values: dict[str, Any]) -> int:
    """Run a grid.

    Args:
        values: keys and yaml values of the command line.

    Returns:
        0, or 1 when a row failed.
    """
    from ..reconstruct.ablation import load_grid, plan_row
    from ..reconstruct.ablation_table import read_result, write_tables
    from ..shards import find_shards

    grid = str(values.pop("grid", "table5"))
    out = Path(str(values.pop("out", f"runs/ablate/{Path(grid).stem}")))
    root, training = values.pop("data_root", None), str(values.pop("config", "default"))
    wanted = values.pop("rows", None)
    rows = chosen_rows(load_grid(grid), wanted)
    rows, shared = _row_keys(rows, values)
    if isinstance(shared.get("data"), str):
        from ..reconstruct.mixes import load_mix

        shared["data"] = load_mix(shared["data"], root) or shared["data"]
    planned: list[PlannedRow] = []
    results: list[RowResult] = []
    hopeless: list[RowResult] = []
    for row in rows:
        try:
            planned.append(plan_row(row, shared, out, root, training))
        except HandError as error:
            # A mix that is not there is this row's trouble; a wrong key is everyone's.
            if row.data is None and not row.without_data and not row.train and not row.network:
                raise
            hopeless.append(_unplanned(row, str(error)))
    if not planned:
        raise HandError(hopeless[0].state)
    _check_differ(planned)
    if not planned[0].config.val:
        raise HandError("an ablation compares errors; give val= shards that no row trains on.")
    for group in planned[0].config.val:
        find_shards(group.path)  # before hours of training that nothing could score

    def tables(failed: dict[str, str]) -> Path:
        found = {p.row.name: read_result(p, failed.get(p.row.name, "not run")) for p in planned}
        found |= {result.name: result for result in hopeless}
        results[:] = [found[row.name] for row in rows]
        return write_tables(results, out)[1]

    run_rows(planned, lambda plan: read_result(plan).done, lambda _, config: _train(config), tables)
    print(f"Tables: {out / 'ablation.csv'}, {out / 'ablation.md'}")
    return 0 if all(result.done for result in results) else 1


def _train(config: Path) -> str | None:
    """Train one row in a process of its own; what went wrong, if anything did."""
    return run_row(["reconstruct", "train", f"config={config}"])


def _check_differ(planned: list[PlannedRow]) -> None:
    first: dict[str, str] = {}
    for plan in planned:
        other = first.setdefault(plan.hash, plan.row.name)
        if other != plan.row.name:
            raise HandError(
                f"rows {other} and {plan.row.name} are the same training; give what sets them "
                f"apart (init=, {plan.row.name}.KEY=) or leave one out (rows=)."
            )


def _row_keys(
    rows: list[AblationRow], values: dict[str, Any]
) -> tuple[list[AblationRow], dict[str, Any]]:
    """Keys of single rows go into these; the others are everyone's."""
    by_name = {row.name: row for row in rows}
    shared: dict[str, Any] = {}
    for key, value in values.items():
        head, _, tail = key.partition(".")
        if not tail or head not in by_name:
            shared[key] = value
        elif tail == "data" and isinstance(value, str) and value.endswith((".yaml", ".yml")):
            by_name[head] = replace(by_name[head], data=value)
        elif tail == "data":
            row = by_name[head]
            by_name[head] = replace(row, data=None, train={**row.train, "data": value})
        elif tail == "network":
            by_name[head] = replace(by_name[head], network=value)
        else:
            by_name[head] = replace(by_name[head], train={**by_name[head].train, tail: value})
    return list(by_name.values()), shared


def _unplanned(row: AblationRow, reason: str) -> RowResult:
    from ..reconstruct.ablation_table import RowResult

    return RowResult(row.name, row.title, "", 0, reason, paper=row.paper)
