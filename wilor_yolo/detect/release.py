"""A training's checkpoint -> the file that is published."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from ultralytics.nn.tasks import PoseModel
from ultralytics.utils import __version__

from ..errors import WeightsError
from ..whole_files import replacing
from .provenance import MADE_BY
from .restricted import read_restricted

__all__ = ["read_pose_model", "release_checkpoint", "release_model", "save_body"]

# Of the training arguments only what prediction needs stays; the rest holds paths of a machine.
_KEPT_ARGS = ("task", "imgsz", "single_cls")


def release_checkpoint(
    source: str | Path, target: str | Path, provenance: Mapping[str, str] | None = None
) -> str:
    """Write an fp16 detector without optimizer, paths, git information or training history.

    The file holds stock Ultralytics classes only and opens without this package, restricted
    loading included.

    Args:
        source: `last.pt`, `best.pt` or `epoch*.pt` of a training.
        target: file to write.
        provenance: what to say besides steps, seed and hashes of the training; all of it is kept as
            text under the key "provenance".

    Returns:
        The SHA-256 of the file, hexadecimal.

    Raises:
        WeightsError: `source` is missing, not readable in restricted mode, or no pose model.
    """
    checkpoint, model = read_pose_model(Path(source))
    said = {**checkpoint.get("provenance", {}), **model.yaml.get(MADE_BY, {}), **(provenance or {})}
    return release_model(model, checkpoint.get("train_args") or {}, target, said)


def release_model(
    model: Any,
    trained_with: Mapping[str, Any],
    target: str | Path,
    provenance: Mapping[str, str] | None = None,
) -> str:
    """As :func:`release_checkpoint`, of a model in memory, which is halved.

    Args:
        model: the detector, a `PoseModel` (Ultralytics types none of what is changed here).
        trained_with: its training arguments.
        target: file to write.
        provenance: as there.

    Returns:
        The SHA-256 of the file, hexadecimal.
    """
    target = Path(target)
    args = {k: trained_with[k] for k in _KEPT_ARGS if k in trained_with}
    model.args = dict(args)
    model.criterion = None
    model.yaml.pop(MADE_BY, None)
    model.yaml["yaml_file"] = Path(model.yaml.get("yaml_file", "hand-pose.yaml")).name
    model.half().requires_grad_(False)
    for leftover in ("pt_path", "class_weights"):
        if hasattr(model, leftover):
            delattr(model, leftover)
    released = {
        "epoch": -1,
        "model": model,
        "ema": None,
        "optimizer": None,
        "train_args": args,
        "provenance": dict(provenance or {}),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "version": __version__,
        "license": "AGPL-3.0-or-later",
    }
    _save(released, target)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def save_body(source: str | Path, target: str | Path) -> None:
    """Write a detector's layers without its head as a plain state dict ("model.0.conv.weight").

    What a reconstructor with a YOLO stem starts from.

    Args:
        source: a detector's checkpoint.
        target: file to write.

    Raises:
        WeightsError: `source` is missing, not readable in restricted mode, or no pose model.
    """
    model = read_pose_model(Path(source))[1]
    head = f"model.{len(model.model) - 1}."
    state = {k: v.float() for k, v in model.state_dict().items() if not k.startswith(head)}
    _save(state, Path(target))


def read_pose_model(source: Path) -> tuple[dict[str, Any], Any]:
    """A detector's checkpoint, and the model in it: the averaged one, where there are two.

    Raises:
        WeightsError: `source` is missing, not readable in restricted mode, or no pose model.
    """
    checkpoint = read_restricted(source)
    model: Any = checkpoint.get("ema") or checkpoint.get("model")
    if type(model) is not PoseModel:
        raise WeightsError(f"{source} holds a {type(model).__name__}, not a stock PoseModel")
    return checkpoint, model


def _save(content: Any, target: Path) -> None:
    # An open file: torch writes a path's own name into it, and the hash would depend on the name.
    with replacing(target) as temporary, temporary.open("wb") as file:
        torch.save(content, file)
