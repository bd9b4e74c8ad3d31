"""Ablations of the detector: one training many times over, one thing changed (paper Table 2).

This file says what each row of a grid trains; `ablation_table.py` says what came out, and
:mod:`wilor_yolo.cli.detect_ablate` runs the rows, each in a process of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ultralytics.cfg import get_cfg
from ultralytics.utils import YAML

from ..errors import HandError, one_line
from ..grids import claim_folder, read_grid
from ..weights_dir import or_shipped
from ..whole_files import write_text
from .dataset import HandDataset, build_hand_dataset
from .options import HandOptions
from .presets import MODEL_YAMLS, read_model_yaml, training_preset
from .provenance import content_hash, data_hash, settings_hash
from .trainer import read_hand_data

__all__ = [
    "GRIDS",
    "DetectorRow",
    "PlannedRow",
    "TrainingSet",
    "load_grid",
    "look_at_training_set",
    "plan_row",
]

GRIDS = Path(__file__).parent / "cfg" / "ablations"
_ROW_KEYS = ("title", "model", "train", "data", "paper")


@dataclass(frozen=True)
class DetectorRow:
    """One row of a grid.

    Attributes:
        name: also the folder of its run.
        title: what a table calls it.
        model: another model YAML, or None.
        train: training keys it changes, Ultralytics' and ours.
        data: another data YAML to train on, or None.
        paper: what the paper prints for it, percent and MB.
    """

    name: str
    title: str = ""
    model: str | None = None
    train: dict[str, Any] = field(default_factory=dict)
    data: str | None = None
    paper: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingSet:
    """What a row trains on: `pictures`, `hands`, and ten hex digits over names, sizes, labels."""

    pictures: int
    hands: int
    hash: str


@dataclass(frozen=True)
class PlannedRow:
    """A row that is ready to train.

    Attributes:
        row: of the grid.
        settings: every key of `detect train`.
        folder: of its run.
        training_set: what it sees.
        hash: ten hex digits over network, options and training keys; not over the data.
    """

    row: DetectorRow
    settings: dict[str, Any]
    folder: Path
    training_set: TrainingSet
    hash: str

    @property
    def batches(self) -> int:
        """Of one epoch."""
        return math.ceil(self.training_set.pictures / self.settings["batch"])

    @property
    def digest(self) -> str:
        """Of the settings and of the data: what a finished row is known by."""
        return f"{self.hash}-{self.training_set.hash}"

    def prepare(self) -> Path:
        """Write what the run reads; the file of its training keys is returned.

        Raises:
            HandError: the folder holds the same row of another plan.
        """
        claim_folder(self.folder, self.row.name, self.digest)
        file = self.folder / "train.yaml"
        write_text(file, json.dumps(self.settings, indent=1) + "\n")  # JSON is YAML
        return file


def load_grid(source: str) -> list[DetectorRow]:
    """Read a grid by its name (`table2`, `ours`) or from a yaml file.

    Raises:
        HandError: no such grid, or another layout.
    """
    rows = read_grid(source, GRIDS, _ROW_KEYS)
    return [DetectorRow(name, **{"title": name, **values}) for name, values in rows.items()]


def look_at_training_set(data: str, fraction: float | int) -> TrainingSet:
    """Read the pictures' names and labels of a data YAML's training part.

    Raises:
        HandError: the data YAML or a label is wrong.
    """
    content = read_hand_data(data)
    cfg = get_cfg(overrides={"task": "pose", "mode": "train", "fraction": fraction})
    dataset: HandDataset = build_hand_dataset(
        cfg, content["train"], 1, content, HandOptions(), mode="train", rect=False, stride=32
    )
    hands = sum(len(label["cls"]) for label in dataset.labels)
    return TrainingSet(len(dataset), hands, data_hash(dataset))


def plan_row(
    row: DetectorRow,
    base: Mapping[str, Any],
    out: str | Path,
    steps: int | None = None,
    seen: dict[tuple[str, str], TrainingSet] | None = None,
) -> PlannedRow:
    """Apply a row's changes to the chosen training.

    Args:
        row: of a grid.
        base: keys of `detect train` that all rows share; `model` and `data` are needed.
        out: folder of the grid's runs; the row gets a folder in it.
        steps: batches each row sees, rounded to whole epochs; None: `epochs` of `base`.
        seen: training sets that were looked at before, filled by this function.

    Raises:
        HandError: an unknown key, network or option, or a fault of the data.
    """
    folder = Path(out).resolve() / row.name
    settings = {"batch": 16, "seed": 0, "fraction": 1.0, **base, **row.train}
    settings["model"] = str(row.model or settings["model"])
    settings["data"] = str(Path(row.data or settings["data"]).resolve())
    if not Path(settings["data"]).is_file():
        raise HandError(
            f"row {row.name} needs {row.data or settings['data']}: give {row.name}.data=PATH."
        )
    if not isinstance(settings["batch"], int) or settings["batch"] < 1:
        raise HandError(f"batch={settings['batch']}: rows compare at a fixed batch, a whole number")
    options = {name: settings[name] for name in HandOptions.names() if name in settings}
    definition = _definition(settings["model"])
    definition = HandOptions(
        **{**asdict(HandOptions.from_model_yaml(definition)), **options}
    ).to_model_yaml(definition)
    seen = {} if seen is None else seen
    place = (settings["data"], str(settings["fraction"]))
    if place not in seen:
        seen[place] = look_at_training_set(settings["data"], settings["fraction"])
    if steps is not None:
        batches = math.ceil(seen[place].pictures / settings["batch"])
        settings["epochs"] = max(1, round(steps / batches))
    stock = {k: v for k, v in settings.items() if k not in HandOptions.names()}
    try:
        whole = vars(get_cfg(overrides={**training_preset(), **stock}))
    except (SyntaxError, TypeError, ValueError) as error:
        raise HandError(f"row {row.name}: {one_line(error)}") from None
    told = {"project": str(folder.parent), "name": folder.name, "exist_ok": True}
    start = None
    if isinstance(whole["pretrained"], str):
        file = or_shipped(whole["pretrained"])
        if not file.is_file():
            raise HandError(f"pretrained={whole['pretrained']}: there is no such file.")
        start = content_hash(file.read_bytes())
    digest = settings_hash(definition, whole, start)
    return PlannedRow(row, {**settings, **told}, folder, seen[place], digest)


def _definition(model: str) -> dict[str, Any]:
    """A network's YAML; grids start from networks, not from checkpoints."""
    if model in MODEL_YAMLS:
        return read_model_yaml(model)
    path = Path(model)
    if path.suffix not in {".yaml", ".yml"} or not path.is_file():
        names = ", ".join(MODEL_YAMLS)
        raise HandError(
            f"model={model}: an ablation takes a model YAML ({names}); "
            "give weights to start from as pretrained="
        )
    return {**YAML.load(path), "yaml_file": path.name}
