"""A larger detector that starts where a smaller one ended.

Not in the paper. A network of the next size with random weights needs many times the training of
the smaller one to catch up. Here each channel of the smaller network stands as many times in the
larger one as that has more channels, and whatever reads the copies shares its weights out among
them (Chen et al., Net2Net, 2016): the larger network computes the same and trains on from there.
The shares are drawn at random, so copies get gradients of their own and grow apart.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from ultralytics.nn.modules.block import Attention
from ultralytics.nn.tasks import PoseModel

from ..errors import WeightsError
from .presets import read_model_yaml
from .release import read_pose_model, release_model
from .trainer import name_backbones

__all__ = ["widen_checkpoint", "widen_model"]

_LEAST_SHARE = 0.3  # of a weight that two copies share; the other has the rest


def widen_checkpoint(source: str | Path, target: str | Path, model_yaml: str, seed: int = 0) -> str:
    """Write the start of a larger detector as an fp16 checkpoint.

    Args:
        source: checkpoint of the smaller detector.
        target: file to write.
        model_yaml: of the larger detector, as "yolo11s-hand-pose.yaml"; a name of this package.
        seed: of the shares.

    Returns:
        The SHA-256 of the file, hexadecimal.

    Raises:
        WeightsError: `source` is no detector, there is no such model, or it is not the same network
            with more channels.
    """
    checkpoint, small = read_pose_model(Path(source))
    name_backbones()
    yaml = read_model_yaml(model_yaml)
    if small.yaml.get("hand"):
        yaml["hand"] = small.yaml["hand"]
    large = PoseModel(yaml, verbose=False)
    large.names = small.names
    widen_model(small.float().eval(), large.eval(), torch.Generator().manual_seed(seed))
    said = {**checkpoint.get("provenance", {}), "widened": f"{Path(source).name} to {model_yaml}"}
    return release_model(large, checkpoint.get("train_args") or {}, target, said)


def widen_model(small: nn.Module, large: nn.Module, generator: torch.Generator) -> None:
    """Give `large` weights with which it computes what `small` computes.

    Args:
        small: the trained network, in evaluation mode.
        large: the same layers with two, three, ... times the channels, in evaluation mode; written.
        generator: draws the shares.

    Raises:
        WeightsError: the layers differ in more than their number of channels.
    """
    old, new = small.state_dict(), large.state_dict()
    if old.keys() != new.keys():
        raise WeightsError(
            "the larger detector has other layers than the smaller one; "
            "only more channels can be started from fewer"
        )
    heads = _head_orders(small, large)
    with torch.no_grad():
        for name, target in new.items():
            target.copy_(_widened(name, old[name], target.shape, heads, generator))
    large.load_state_dict(new)
    _check_equal(small, large)


def _widened(
    name: str,
    weight: Tensor,
    shape: torch.Size,
    heads: dict[str, tuple[Tensor | None, Tensor | None]],
    generator: torch.Generator,
) -> Tensor:
    """One tensor of the larger network."""
    if weight.shape == shape:
        return weight
    # "model.10.m.0.attn.qkv.conv.weight" belongs to "model.10.m.0.attn.qkv".
    rows, columns = heads.get(name.rsplit(".", 2)[0], (None, None))
    rows = _neighbours(name, len(weight), shape[0]) if rows is None else rows
    weight = weight[rows]
    if len(shape) < 2 or weight.shape == shape:
        return weight
    if columns is None:
        columns = _neighbours(name, weight.shape[1], shape[1])
    share = _shares(columns, shape[0], generator)
    return weight[:, columns] * share.reshape(*share.shape, *[1] * (len(shape) - 2))


def _neighbours(name: str, old: int, new: int) -> Tensor:
    """Which old channel each new one copies, copies side by side: chunks and joins keep it so."""
    if new % old:
        raise WeightsError(
            f"{name}: {new} channels are no multiple of {old}; a smaller detector only starts one "
            "with two, three, ... times its channels"
        )
    return torch.arange(new) // (new // old)


def _shares(columns: Tensor, rows: int, generator: torch.Generator) -> Tensor:
    """What part of the old weight each copy takes, (rows, columns); copies share all of it."""
    draw = torch.rand(rows, len(columns), generator=generator)
    draw = _LEAST_SHARE + (1 - 2 * _LEAST_SHARE) * draw
    total = torch.zeros(rows, int(columns.max()) + 1).index_add_(1, columns, draw)
    return draw / total[:, columns]


def _head_orders(
    small: nn.Module, large: nn.Module
) -> dict[str, tuple[Tensor | None, Tensor | None]]:
    """Of the layers in an attention: which old channel each new output and input copies.

    A larger network has more heads, not wider ones, so whole heads are copied.
    """
    orders: dict[str, tuple[Tensor | None, Tensor | None]] = {}
    olds = dict(small.named_modules())
    for name, attention in large.named_modules():
        old = olds.get(name)
        if not isinstance(attention, Attention) or not isinstance(old, Attention):
            continue
        values = _head_copies(old.num_heads, attention.num_heads, old.head_dim)
        width = old.head_dim + 2 * old.key_dim
        orders[f"{name}.qkv"] = (_head_copies(old.num_heads, attention.num_heads, width), None)
        orders[f"{name}.pe"] = (values, None)
        orders[f"{name}.proj"] = (None, values)
    return orders


def _head_copies(old: int, new: int, width: int) -> Tensor:
    copied = _neighbours("attention heads", old, new)
    return (copied[:, None] * width + torch.arange(width)).reshape(-1)


def _check_equal(small: nn.Module, large: nn.Module) -> None:
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = small(picture)[0], large(picture)[0]
    if not torch.allclose(before, after, rtol=1e-3, atol=1e-2):  # pixels and scores
        raise WeightsError(
            "the larger detector does not compute what the smaller one does; "
            "its layers differ in more than their number of channels"
        )
