"""Weights of other people's ViTs, renamed for a network with a patch stem.

Read: the ViTPose-H file WiLoR and HaMeR start from (``state_dict`` with our names), ViTPose's own
(the same under ``backbone.`` beside a keypoint head), MAE (``model``) and timm's ViTs (``norm``
instead of ``last_norm``, a class token, positions of a square picture).
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import WeightsError
from .plain_state import read_plain
from .torch_archive import PickledTensor, TorchArchive
from .trunk import Trunk

__all__ = ["load_vit_weights", "unused_names"]

# Prefixes in the order they are tried; the first that fits decides.
_RENAMES = (
    ("patch_embed.proj.", "stem.proj."),
    ("last_norm.", "last_norm."),
    ("norm.", "last_norm."),
    ("blocks.", "blocks."),
    ("pos_embed", "pos_embed"),
)


def load_vit_weights(trunk: Trunk, path: str | Path) -> tuple[str, ...]:
    """Start a plain ViT trunk from a file on disk.

    Position embeddings of another grid are interpolated. Blocks the file has more of are dropped.

    Args:
        trunk: changed in place; its stem is a patch stem.
        path: a checkpoint of one of the kinds above.

    Returns:
        Names of the trunk's tensors that were taken.

    Raises:
        WeightsError: the file is missing, damaged, or of a ViT of another width or patch.
    """
    path = Path(path)
    state = _unwrap(_read(path))
    target, taken = trunk.state_dict(), {}
    for theirs, value in state.items():
        ours = _our_name(theirs)
        if ours == "pos_embed":
            value = _positions(value, trunk, has_class="cls_token" in state)
        if ours in target and value.shape == target[ours].shape:
            taken[ours] = value
    needed = [name for name in target if name.startswith(("stem.", "blocks.", "pos_embed"))]
    lacking = [name for name in needed if name not in taken]
    if lacking:
        raise WeightsError(
            f"{path} does not fit a ViT of width {trunk.config.dim}, depth {trunk.config.depth} "
            f"and patch {trunk.config.patch_size}: {len(lacking)} of {len(needed)} tensors are "
            f"missing or of another shape, {lacking[0]} first."
        )
    trunk.load_state_dict(taken, strict=False)
    return tuple(taken)


def unused_names(path: str | Path, taken: Collection[str]) -> tuple[str, ...]:
    """Names in a file of which :func:`load_vit_weights` made none of its `taken` tensors."""
    names, prefix = list(_unwrap(_read(Path(path)), whole=True)), "backbone."
    inside = any(name.startswith(prefix) for name in names)
    return tuple(
        name
        for name in names
        if (inside and not name.startswith(prefix))
        or _our_name(name.removeprefix(prefix)) not in taken
    )


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise WeightsError(f"initial weights {path} do not exist; check the path.")
    if zipfile.is_zipfile(path):
        with TorchArchive(path) as archive:
            contents = archive.contents
            if not isinstance(contents, dict):
                raise WeightsError(f"{path} holds no state dict.")
            for key in ("state_dict", "model"):
                if isinstance(contents.get(key), dict):
                    contents = contents[key]
            return {
                name: archive.tensor(name, value)
                for name, value in contents.items()
                if isinstance(value, PickledTensor)
            }
    return read_plain(path, "a state dict")  # the format before torch 1.6


def _unwrap(state: Mapping[str, Any], whole: bool = False) -> dict[str, Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(state.get(key), dict):
            state = state[key]
    names = [name for name in state if name.startswith("backbone.")]
    if names and not whole:
        state = {name.removeprefix("backbone."): state[name] for name in names}
    return {name: value.float() for name, value in state.items() if isinstance(value, Tensor)}


def _our_name(theirs: str) -> str | None:
    for prefix, ours in _RENAMES:
        if theirs.startswith(prefix):
            return ours + theirs.removeprefix(prefix)
    return None


def _positions(theirs: Tensor, trunk: Trunk, has_class: bool) -> Tensor:
    """Positions (1, 1 + h w, C) for the trunk's grid."""
    rows, columns = trunk.stem.map_size
    slot, patches = theirs[:, :1], theirs[:, 1:]
    if has_class:
        # There the slot belongs to a class token, which we have not; here it is added to every
        # patch, as in ViTPose.
        slot = torch.zeros_like(slot)
    count = patches.shape[1]
    if count != rows * columns:
        side = isqrt(count)
        high, wide = (16, 12) if count == 16 * 12 else (side, side)
        if high * wide != count:
            return theirs  # of no grid we know: will not fit
        grid = patches.transpose(1, 2).reshape(1, -1, high, wide)
        grid = functional.interpolate(grid, (rows, columns), mode="bicubic", align_corners=False)
        patches = grid.flatten(2).transpose(1, 2)
    return torch.cat((slot, patches), dim=1)
