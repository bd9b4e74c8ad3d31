"""The YAML files of this wing: network definitions and the training preset."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ultralytics.utils import YAML

from ..errors import WeightsError

__all__ = ["MODEL_YAMLS", "read_model_yaml", "training_preset"]

MODEL_YAMLS = (
    *(f"{family}{scale}-hand-pose.yaml" for family in ("yolo11", "yolov8") for scale in "nsml"),
    *("resnet50-hand-pose.yaml", "hrnet-hand-pose.yaml"),  # backbone ablation, paper Table 2
)
_CFG = Path(__file__).parent / "cfg"


def read_model_yaml(name: str) -> dict[str, Any]:
    """The network definition of one name of `MODEL_YAMLS`, as Ultralytics' `PoseModel` takes it.

    One file serves all sizes of a family. Ultralytics would take the scale letter out of the whole
    path, and trip over folders such as ``/data2l/``; so the files are read here.

    Raises:
        WeightsError: there is no such model.
    """
    if name not in MODEL_YAMLS:
        raise WeightsError(f"there is no {name}; the model YAMLs are {', '.join(MODEL_YAMLS)}")
    scale = re.match(r"yolov?\d+([nsml])-", name)
    file = name if scale is None else name[: scale.start(1)] + name[scale.end(1) :]
    definition = YAML.load(_CFG / file)
    return {**definition, "scale": scale[1] if scale else "", "yaml_file": name}


def training_preset() -> dict[str, Any]:
    """`cfg/hand.yaml` as a dict of Ultralytics training arguments (paper section 5.1)."""
    return YAML.load(_CFG / "hand.yaml")
