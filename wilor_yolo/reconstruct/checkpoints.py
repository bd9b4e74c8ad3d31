"""Our own reconstructor files: one `.safetensors` that says what network it holds.

The configuration travels in the file's metadata, not in a yaml beside it, because two files get
parted. Nothing in the format can run code.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..errors import HandError, WeightsError, one_line
from ..mano.files import HandModel, load_hand_model
from ..mano.layer import HandLayer
from ..whole_files import write_bytes
from .config import NetworkConfig
from .network import HandNetwork

__all__ = [
    "hand_marks",
    "load_network",
    "read_info",
    "read_trained_with",
    "same_hand",
    "save_network",
]

FORMAT = "wilor_yolo.reconstructor/1"


def save_network(
    path: str | Path,
    network: HandNetwork,
    info: Mapping[str, str | int | float] | None = None,
    *,
    half: bool = True,
    trained: bool = True,
) -> None:
    """Write a network, whole or not at all.

    Args:
        path: a `.safetensors` file.
        network: its hand model is not stored (see :class:`wilor_yolo.mano.layer.HandLayer`), only
            its marks.
        info: provenance: steps, seed, data hash and the like.
        half: store matrices and filters as float16; statistics and vectors stay float32.
        trained: False for new weights, which know no hand yet: no marks.
    """
    tensors = {}
    for name, value in network.state_dict().items():
        shrink = half and value.is_floating_point() and value.ndim > 1
        tensors[name] = value.detach().to("cpu", torch.float16 if shrink else None).contiguous()
    metadata = {
        "format": FORMAT,
        "config": json.dumps(network.config.to_dict()),
        "info": json.dumps(dict(info or {})),
    }
    if trained:
        metadata["hand"] = hand_marks(network.hand)
    write_bytes(path, save(tensors, metadata))  # save_file would make it unreadable for others


def hand_marks(hand: HandLayer) -> str:
    """What tells one hand model from another: the norms of its arrays, one after the other.

    No digest of the numbers themselves, for the same hand comes rounded in more than one way
    (MANO's own file, and the buffers of a released checkpoint).
    """
    arrays = (hand.v_template, hand.shapedirs, hand.posedirs, hand.J_regressor, hand.lbs_weights)
    return " ".join(f"{float(array.detach().double().norm()):.6g}" for array in arrays)


def same_hand(marks: str, others: str) -> bool:
    """Whether two :func:`hand_marks` are of one hand model."""
    try:
        one, other = ([float(mark) for mark in text.split()] for text in (marks, others))
    except ValueError:
        return False
    return len(one) == len(other) and bool(np.allclose(one, other, rtol=1e-3))


def load_network(path: str | Path, hand_model: HandModel | None = None) -> HandNetwork:
    """Read a network written by :func:`save_network`; float32, in evaluation mode.

    Warns when it was trained with another hand than it poses (older files do not say).

    Args:
        path: the file.
        hand_model: the hand it poses; the free hand by default.

    Raises:
        WeightsError: the file is missing, damaged, or not one of ours.
    """
    config, tensors, trained_with = _read(Path(path))
    network = HandNetwork(config, hand_model or load_hand_model())
    if trained_with is not None and not same_hand(trained_with, hand_marks(network.hand)):
        warnings.warn(
            f"{path} was trained with another hand model than it poses here; give that one: "
            "hand_model=",
            stacklevel=2,
        )
    try:
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except RuntimeError as error:
        reason = one_line(error)
        raise WeightsError(f"{path} does not fit the network it describes: {reason}") from None
    return network.eval()


def read_info(path: str | Path) -> dict[str, str | int | float]:
    """The provenance stored with a network.

    Raises:
        WeightsError: as :func:`load_network`.
    """
    return json.loads(_metadata(Path(path))["info"])


def read_trained_with(path: str | Path) -> str | None:
    """The :func:`hand_marks` of the hand a network was trained with; None if the file has none.

    Raises:
        WeightsError: as :func:`load_network`.
    """
    return _metadata(Path(path)).get("hand")


def _read(path: Path) -> tuple[NetworkConfig, dict[str, torch.Tensor], str | None]:
    metadata = _metadata(path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    try:
        config = NetworkConfig.from_dict(json.loads(metadata["config"]))
    except (KeyError, ValueError, HandError) as error:
        raise WeightsError(f"{path} names no network we can build (config: {error}).") from None
    return config, tensors, metadata.get("hand")


def _metadata(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise WeightsError(f"reconstructor weights {path} do not exist; check the path.")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged or no .safetensors file: {error}") from None
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is no reconstructor of this package (format {metadata.get('format')!r})."
        )
    return metadata
