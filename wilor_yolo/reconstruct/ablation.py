"""Ablations: one training many times over, each time with one thing changed (paper Table 5).

A grid is a yaml file of rows. This file says what each row trains and reads what came out; the
rows are run by :mod:`wilor_yolo.cli.reconstruct_ablate`, each in a process of its own, so that one
that fails, or is killed for want of memory, does not take the others with it.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from .. import grids
from ..errors import HandError
from ..whole_files import write_text
from ..yaml_files import shipped_names
from .config import NetworkConfig
from .mixes import load_mix
from .train_config import TrainConfig

__all__ = ["AblationRow", "PlannedRow", "grid_names", "load_grid", "plan_row"]

_GRIDS = Path(__file__).parent / "cfg" / "ablations"
_ROW_KEYS = ("title", "network", "train", "data", "without_data", "paper")


@dataclass(frozen=True)
class AblationRow:
    """One row of a grid.

    Attributes:
        name: also the folder of its run.
        title: what a table calls it.
        network: keys of the network it changes, or the name of another network.
        train: training keys it changes.
        data: a mix (its name or yaml file) instead of the chosen data.
        without_data: patterns; data groups whose path has such a part are left out.
        paper: what the paper prints for it, by metric.
    """

    name: str
    title: str = ""
    network: dict[str, Any] | str = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    data: str | None = None
    without_data: tuple[str, ...] = ()
    paper: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedRow:
    """A row that is ready to train.

    Attributes:
        row: of the grid.
        config: its training; its network is the file `folder`/network.yaml.
        network: what that file says.
        folder: of its run.
        hash: ten hex digits over everything that changes the result, the network's keys included.
    """

    row: AblationRow
    config: TrainConfig
    network: NetworkConfig
    folder: Path
    hash: str

    def prepare(self) -> Path:
        """Write what the run reads; the training's yaml file is returned.

        Raises:
            HandError: the folder holds the same row of another plan.
        """
        grids.claim_folder(self.folder, self.row.name, self.hash)
        network = yaml.safe_dump(self.network.to_dict())
        write_text(self.folder / "network.yaml", network)
        training = yaml.safe_dump(self.config.to_dict(), sort_keys=False)
        write_text(self.folder / "train.yaml", training)
        return self.folder / "train.yaml"


def grid_names() -> list[str]:
    """The grids that ship with the package."""
    return shipped_names(_GRIDS)


def load_grid(source: str) -> list[AblationRow]:
    """Read a grid by its name or from a yaml file.

    Raises:
        HandError: no such grid, or another layout.
    """
    rows = grids.read_grid(source, _GRIDS, _ROW_KEYS)
    return [_row(name, values) for name, values in rows.items()]


def plan_row(
    row: AblationRow,
    base: Mapping[str, Any],
    out: str | Path,
    data_root: str | None = None,
    training: str = "default",
) -> PlannedRow:
    """Apply a row's changes to the chosen training.

    Args:
        row: of a grid.
        base: keys of `TrainConfig` that all rows share.
        out: folder of the grid's runs; the row gets a folder in it.
        data_root: folder of the sets of a mix.
        training: name or yaml file of the training that `base` changes.

    Raises:
        HandError: an unknown key or network, or a pattern that fits no data group.
    """
    folder = Path(out) / row.name
    values = {**base, **row.train, "out": str(folder), "resume": True}
    if row.data is not None:
        groups = load_mix(row.data, data_root)
        if groups is None:
            raise HandError(f"row {row.name}: {row.data!r} is no mix.")
        values["data"] = groups
    config = TrainConfig.from_yaml(training, **values)
    if row.without_data:
        config = _without(config, row)
    if isinstance(row.network, str):
        network = NetworkConfig.from_yaml(row.network)
    else:
        whole = NetworkConfig.from_yaml(config.network)
        network = NetworkConfig.from_dict({**whole.to_dict(), **row.network})
    config = replace(config, network=str(folder / "network.yaml"))
    # Neither the folder's name nor the network file's belongs to the result; what is in it does.
    relevant = [replace(config, network="", out="").hash(), network.to_dict()]
    digest = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:10]
    return PlannedRow(row, config, network, folder, digest)


def _without(config: TrainConfig, row: AblationRow) -> TrainConfig:
    def left_out(path: str) -> bool:
        return any(fnmatch.fnmatch(part, p) for part in Path(path).parts for p in row.without_data)

    kept = tuple(group for group in config.data if not left_out(group.path))
    if len(kept) == len(config.data) or not kept:
        paths = ", ".join(group.path for group in config.data)
        which = "none" if kept else "all"
        raise HandError(
            f"row {row.name}: {which} of the data groups {paths} fit "
            f"{', '.join(row.without_data)}; the row needs some that do and some that do not."
        )
    return replace(config, data=kept)


def _row(name: str, values: dict[str, Any]) -> AblationRow:
    patterns = values.get("without_data", ())
    patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    title = str(values.get("title", name))
    return AblationRow(name, **{**values, "title": title, "without_data": patterns})
