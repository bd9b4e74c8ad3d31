"""What a trained detector says of its making: steps, seed, and hashes of settings and data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .dataset import HandDataset

__all__ = ["MADE_BY", "content_hash", "data_hash", "settings_hash"]

MADE_BY = "made_by"  # key of a network's YAML inside a checkpoint; a release moves it out

# Training keys that change no result, or that are hashed by their content.
_NO_RESULT = {"project", "name", "exist_ok", "data", "device", "workers", "cache"} | {
    *("plots", "verbose", "save", "save_period", "save_dir", "val", "model", "mode", "task"),
    *("pretrained", "resume"),
}


def content_hash(content: bytes) -> str:
    """Ten hex digits."""
    return hashlib.sha256(content).hexdigest()[:10]


def settings_hash(definition: Mapping[str, Any], keys: Mapping[str, Any], start: str | None) -> str:
    """Ten hex digits over all but the data that decides what a training gives.

    Args:
        definition: the network's YAML, our own options in it.
        keys: every training key.
        start: :func:`content_hash` of the weights it starts from, None for a fresh network.
    """
    network = {k: v for k, v in definition.items() if k not in (MADE_BY, "yaml_file")}
    told = {k: v for k, v in keys.items() if k not in _NO_RESULT}
    text = json.dumps([network, told, start], sort_keys=True, default=str)
    return content_hash(text.encode())


def data_hash(dataset: HandDataset) -> str:
    """Ten hex digits over names and sizes of the pictures, and over their labels."""
    digest = hashlib.sha256()
    for file, label in zip(dataset.im_files, dataset.labels, strict=True):
        path = Path(file)
        digest.update(f"{path.parent.name}/{path.name} {path.stat().st_size}".encode())
        for part in ("cls", "bboxes", "keypoints"):
            digest.update(label[part].tobytes())
    return digest.hexdigest()[:10]
