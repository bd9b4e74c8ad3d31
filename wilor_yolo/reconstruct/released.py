"""The released WiLoR checkpoint: the one file that knows foreign weights.

`wilor_final.ckpt` is a Lightning 1.8 checkpoint with a yacs configuration inside. It is read
without either library (:mod:`wilor_yolo.reconstruct.torch_archive`), its tensors are renamed by one
table, and the sizes of the network are read off their shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import HandError, WeightsError
from ..mano.files import HandModel, check_hand_model
from .config import NetworkConfig
from .network import HandNetwork
from .torch_archive import PickledTensor, TorchArchive

__all__ = [
    "RELEASED_HEADS",
    "NotReleasedError",
    "load_released",
    "load_released_discriminator_state",
    "load_released_hand_model",
    "released_names",
]

RELEASED_HEADS = 16  # of attention, in the released model; they stand in no tensor shape

# Released name -> ours; the first pattern that matches the whole name decides.
_RENAMES = tuple(
    (re.compile(pattern), ours)
    for pattern, ours in (
        (r"backbone\.init_hand_pose", "mean_pose6d"),
        (r"backbone\.init_betas", "mean_betas"),
        (r"backbone\.init_cam", "mean_cam"),
        (r"backbone\.decpose\.(\w+)", r"pose_head.\1"),
        (r"backbone\.decshape\.(\w+)", r"shape_head.\1"),
        (r"backbone\.deccam\.(\w+)", r"cam_head.\1"),
        (r"backbone\.patch_embed\.proj\.(\w+)", r"trunk.stem.proj.\1"),
        (r"backbone\.(.+)", r"trunk.\1"),
        (r"refine_net\.deconv\.first_conv\.0\.(\w+)", r"refinement.first.\1"),
        # One Sequential a branch, three modules (deconvolution, norm, ReLU) a doubling.
        (r"refine_net\.deconv\.deconv\.(\d+)\.(\d+)\.(\w+)", "branch"),
        (r"refine_net\.dec_pose\.(\w+)", r"refinement.pose.\1"),
        (r"refine_net\.dec_shape\.(\w+)", r"refinement.shape.\1"),
        (r"refine_net\.dec_cam\.(\w+)", r"refinement.cam.\1"),
    )
)
_NETWORK = ("backbone.", "refine_net.")
_DISCRIMINATOR = "discriminator."
_NEEDED = (
    "backbone.pos_embed",
    "backbone.patch_embed.proj.weight",
    "backbone.blocks.0.mlp.fc1.weight",
    "backbone.init_hand_pose",
    "refine_net.deconv.first_conv.0.weight",
)


class NotReleasedError(WeightsError):
    """A file that can be read but is not the released checkpoint."""


def load_released(
    path: str | Path, heads: int = RELEASED_HEADS, hand_model: HandModel | None = None
) -> HandNetwork:
    """A released checkpoint as a network in evaluation mode, float32.

    It keeps the released ways: mean parameters from the file, 18 tokens, the released sampling.

    Args:
        path: `wilor_final.ckpt`, or another of that format and any size.
        heads: attention heads, which stand in no tensor shape; 16 in the released model.
        hand_model: the hand to pose; by default the MANO buffers inside the checkpoint.

    Raises:
        WeightsError: the file is missing, damaged, foreign, or its tensors do not fit together.
    """
    with TorchArchive(path) as archive:
        state = _state_dict(archive)
        config = _infer_config({name: value.shape for name, value in state.items()}, heads, path)
        model = _hand_model(archive, state) if hand_model is None else hand_model
        network = HandNetwork(config, model)
        _load(network, archive, {n: v for n, v in state.items() if n.startswith(_NETWORK)})
    return network.eval()


def released_names(path: str | Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of a checkpoint's tensors: those of the network, and all others."""
    with TorchArchive(path) as archive:
        names = tuple(_state_dict(archive))
    kept = tuple(name for name in names if name.startswith(_NETWORK))
    return kept, tuple(name for name in names if name not in kept)


def load_released_hand_model(path: str | Path) -> HandModel:
    """The MANO buffers inside a released checkpoint (MANO's licence holds for them).

    Raises:
        WeightsError: the file is missing, damaged, or carries no MANO buffers.
    """
    with TorchArchive(path) as archive:
        return _hand_model(archive, _state_dict(archive))


def load_released_discriminator_state(path: str | Path) -> dict[str, Tensor]:
    """The discriminator's tensors by their released names, without the prefix `discriminator.`.

    Raises:
        WeightsError: the file is missing, damaged, or carries no discriminator.
    """
    with TorchArchive(path) as archive:
        found = {
            name.removeprefix(_DISCRIMINATOR): archive.tensor(name, value)
            for name, value in _state_dict(archive).items()
            if name.startswith(_DISCRIMINATOR)
        }
    if not found:
        raise WeightsError(f"{path} carries no discriminator.")
    return found


def rename(name: str) -> str:
    """Our name of a released tensor.

    Raises:
        WeightsError: no rule for it.
    """
    for pattern, ours in _RENAMES:
        match = pattern.fullmatch(name)
        if match is None:
            continue
        if ours == "branch":
            branch, module, leaf = match.groups()
            doubling, layer = divmod(int(module), 3)
            return f"refinement.branches.{branch}.{doubling}.{layer}.{leaf}"
        return match.expand(ours)
    raise WeightsError(f"{name} is no tensor of a released WiLoR network.")


def _state_dict(archive: TorchArchive) -> dict[str, PickledTensor]:
    contents = archive.contents
    state: Any = contents.get("state_dict", contents) if isinstance(contents, dict) else None
    if not isinstance(state, dict):
        raise WeightsError(f"{archive.path} holds no state_dict.")
    return {
        name: value
        for name, value in state.items()
        if isinstance(name, str) and isinstance(value, PickledTensor)
    }


def _infer_config(
    shapes: Mapping[str, tuple[int, ...]], heads: int, path: str | Path
) -> NetworkConfig:
    missing = [name for name in _NEEDED if name not in shapes]
    if missing:
        raise NotReleasedError(f"{path} is no released WiLoR checkpoint: it lacks {missing[0]}.")
    dim = shapes["backbone.pos_embed"][-1]
    blocks = {name.split(".")[2] for name in shapes if name.startswith("backbone.blocks.")}
    branches = {
        name.split(".")[3] for name in shapes if name.startswith("refine_net.deconv.deconv.")
    }
    try:
        return replace(
            NetworkConfig.from_yaml("vit-huge"),  # the released architecture; its sizes vary
            patch_size=shapes["backbone.patch_embed.proj.weight"][-1],
            dim=dim,
            depth=len(blocks),
            heads=heads,
            mlp_ratio=shapes["backbone.blocks.0.mlp.fc1.weight"][0] / dim,
            scales=1 + len(branches),
        )
    except HandError as error:
        raise WeightsError(f"{path}: {error} Give the right heads=.") from None


def _hand_model(archive: TorchArchive, state: Mapping[str, PickledTensor]) -> HandModel:
    def read(name: str) -> np.ndarray:
        if f"mano.{name}" not in state:
            raise WeightsError(
                f"{archive.path} carries no mano.{name}; give hand_model= (a MANO file)."
            )
        return archive.tensor(name, state[f"mano.{name}"]).numpy()

    # Mean and components depend on the smplx version that wrote the file and are not used by the
    # network, whose rotations are absolute.
    mean = read("hand_mean") if "mano.hand_mean" in state else np.zeros(45)
    components = read("hand_components") if "mano.hand_components" in state else np.eye(45)
    model = HandModel(
        v_template=read("v_template").astype(np.float32),
        faces=read("faces_tensor").astype(np.int64),
        weights=read("lbs_weights").astype(np.float32),
        J_regressor=read("J_regressor").astype(np.float32),
        shapedirs=read("shapedirs").astype(np.float32),
        posedirs=np.ascontiguousarray(read("posedirs").T, np.float32).reshape(-1, 3, 135),
        hands_mean=mean.astype(np.float32),
        hands_components=components.astype(np.float32),
    )
    check_hand_model(model, f"{archive.path} (mano)")
    return model


def _load(network: HandNetwork, archive: TorchArchive, state: Mapping[str, PickledTensor]) -> None:
    path, slots = archive.path, network.state_dict()
    theirs = {rename(name): name for name in state}
    missing, foreign = sorted(set(slots) - set(theirs)), sorted(set(theirs) - set(slots))
    if missing or foreign:
        raise WeightsError(
            f"{path} does not fit: it lacks {missing[:3] or 'nothing'} and has no use for "
            f"{foreign[:3] or 'nothing'} (our names)."
        )
    for ours, slot in slots.items():
        # One tensor at a time: the released file holds 2.5 GB.
        value = archive.tensor(theirs[ours], state[theirs[ours]])
        if ours.startswith("mean_"):
            value = value.flatten()
        if value.shape != slot.shape:
            raise WeightsError(
                f"{path}: {ours} has shape {tuple(value.shape)}, expected {tuple(slot.shape)}."
            )
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise WeightsError(f"{path}: {ours} holds numbers that are not finite.")
        slot.copy_(value)
