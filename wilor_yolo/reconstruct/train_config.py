"""`TrainConfig`: one training run of the reconstructor as a dataclass and a commented yaml."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from ..errors import HandError, did_you_mean
from ..yaml_files import find_yaml, read_yaml
from .augment import AugmentConfig
from .losses import LossWeights
from .mixing import DataGroup

__all__ = ["TrainConfig"]

_SHIPPED = Path(__file__).parent / "cfg" / "training"
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
ON_BAD = ("stop", "skip")
# Least and most, both allowed; dotted names are keys of `losses` and `augment`.
_RANGES: dict[str, tuple[float, float]] = {
    "steps": (1, 1e12),
    "minutes": (1e-3, 1e9),
    "batch_size": (1, 1e6),
    "accumulate": (1, 1e6),
    "lr": (0, 1e38),  # of float32; what is too much for a network, its losses say
    "weight_decay": (0, 10),
    "warmup_steps": (0, 1e12),
    "final_lr": (0, 1),
    "pretrained_lr": (0, 1000),
    "layer_decay": (1e-3, 1),
    "clip_norm": (0, 1e9),
    "ema_decay": (1e-6, 1 - 1e-6),
    "augment_until": (0, 1),
    "threads": (0, 4096),
    "workers": (0, 4096),
    "devices": (1, 4096),
    "nodes": (1, 1e6),
    "seed": (0, 1e9),
    "rescan_steps": (0, 1e12),
    "checkpoint_minutes": (0, 1e9),
    "validate_minutes": (0, 1e9),
    "val_samples": (1, 1e12),
    "val_pictures": (0, 10_000),
    "log_steps": (1, 1e12),
    **{f"losses.{f.name}": (0, 1e9) for f in fields(LossWeights)},
    **{f"augment.{f.name}": (0, 1) for f in fields(AugmentConfig)},  # but for these
    "augment.scale": (0, 0.95),
    "augment.rotation_deg": (0, 180),
    "augment.upright_deg": (0, 180),
    "augment.translation": (0, 10),
    "augment.gamma": (0, 5),
    "augment.noise_sigma": (0, 255),
    "augment.blur_sigma": (0.01, 100),
    "augment.erase_max": (0.08, 0.95),
}
# Keys that came later; at these values they leave the hash of older runs as it was.
_LATER = {
    "accumulate": 1,
    "layer_decay": 1.0,
    "prior": None,
    "discriminator": None,
    "nodes": 1,
}


@dataclass(frozen=True)
class TrainConfig:
    """A training run. The shipped yaml files say where each number comes from.

    Attributes:
        network: name or yaml file of a `NetworkConfig`.
        data: groups of shards to train on.
        val: groups of shards to validate on; may be empty.
        out: folder of the run: config, log, checkpoints.
        init: weights to start from, or None: a `.safetensors` of the same network, or what a
            stem starts from (:mod:`wilor_yolo.reconstruct.initialise`).
        hand_model: a MANO file; None for the free hand.
        resume: continue from `out`/last.pt when it exists.
        steps: optimiser steps; the learning rate falls to its end over these.
        minutes: if set, the learning rate follows the time trained instead and the run ends
            after so many minutes (all sessions of a resumed run together).
        batch_size: samples an optimiser step and process.
        accumulate: run the batch in so many equal parts, for want of memory; the gradients, means
            over the batch, stay the same but for batch statistics.
        lr, weight_decay, warmup_steps, final_lr: AdamW; cosine from lr to lr * final_lr.
        pretrained: parameter name prefixes trained at lr * pretrained_lr.
        pretrained_lr: see `pretrained`.
        layer_decay: learning rates fall by this factor from each transformer block to the one
            before it (:mod:`.optimisation`); 1: one rate.
        frozen: module names left as `init` has them, batch statistics too; the wide maps of a
            CNN's first layers cost the most and learn the least.
        clip_norm: gradient norm limit; 0 for none.
        ema_decay: of the averaged weights, which are the ones validated and shipped.
        losses, augment: see those classes.
        augment_until: share of `steps` with augmentation (1: all of them).
        prior: an `.npz` of real poses for the discriminator (``reconstruct prior`` makes one);
            None: those of the training samples.
        discriminator: a released checkpoint whose discriminator this one starts from; None: random.
        recompute: compute the transformer's activations twice instead of keeping them.
        on_bad: a damaged sample, a torn shard, numbers that are not finite or a full disk: "stop"
            (the last checkpoint stays as it was), or "skip" that sample or step and name it.
        precision: of Lightning Fabric: 32-true, bf16-mixed or 16-mixed.
        channels_last: memory layout of images and convolutions.
        threads: torch's threads; 0 leaves them alone.
        workers: threads that prepare batches.
        devices, nodes, strategy, accelerator: Lightning Fabric's (DDP for several devices, which
            are counted by the node).
        seed: of everything.
        rescan_steps: look for new shards every so many steps; 0: never.
        checkpoint_minutes, validate_minutes: how often, by the clock.
        val_samples: at most so many validation samples a group.
        val_pictures: so many of them are drawn with truth and answer; 0: none.
        tensorboard: write event files beside the CSV ones.
        log_steps: a line of progress every so many steps.
    """

    network: str = "hybrid-s"
    data: tuple[DataGroup, ...] = ()
    val: tuple[DataGroup, ...] = ()
    out: str = "runs/reconstruct"
    init: str | None = None
    hand_model: str | None = None
    resume: bool = True
    steps: int = 20_000
    minutes: float | None = None
    batch_size: int = 64
    accumulate: int = 1
    lr: float = 5e-4
    weight_decay: float = 0.02
    warmup_steps: int = 500
    final_lr: float = 0.01
    pretrained: tuple[str, ...] = ()
    pretrained_lr: float = 0.3
    layer_decay: float = 1.0
    frozen: tuple[str, ...] = ()
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    losses: LossWeights = field(default_factory=LossWeights)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    augment_until: float = 1.0
    prior: str | None = None
    discriminator: str | None = None
    recompute: bool = False
    on_bad: str = "stop"
    precision: str = "32-true"
    channels_last: bool = False
    threads: int = 0
    workers: int = 1
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    accelerator: str = "auto"
    seed: int = 0
    rescan_steps: int = 0
    checkpoint_minutes: float = 5.0
    validate_minutes: float = 10.0
    val_samples: int = 500
    val_pictures: int = 12
    tensorboard: bool = True
    log_steps: int = 50

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise HandError(f"precision={self.precision!r}; choose one of {', '.join(PRECISIONS)}.")
        if self.on_bad not in ON_BAD:
            raise HandError(f"on_bad={self.on_bad!r}; choose one of {', '.join(ON_BAD)}.")
        for name, (least, most) in _RANGES.items():
            value = attrgetter(name)(self)
            if value is not None and not least <= value <= most:  # nor is NaN
                raise HandError(f"{name}={value} lies outside {least:g} to {most:g}.")
        if self.batch_size % self.accumulate:
            raise HandError(
                f"batch_size={self.batch_size} cannot be run in accumulate={self.accumulate} "
                "equal parts."
            )
        if self.augment_until < 1 and self.minutes is not None:
            raise HandError("augment_until counts in steps; leave minutes out, or augment_until.")
        if self.frozen and not self.init:
            raise HandError(
                "frozen= keeps layers as init= has them; give init= (config=default: landmarks.pt, "
                "which `weights convert` makes), or frozen=[]."
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainConfig:
        """From plain data; nested keys may be dotted ("augment.scale").

        Raises:
            HandError: an unknown key, with the nearest known one, or a value of another kind.
        """
        nested: dict[str, type] = {"losses": LossWeights, "augment": AugmentConfig}
        values: dict[str, Any] = {}
        inner: dict[str, dict[str, Any]] = {name: {} for name in nested}
        for key, value in data.items():
            head, _, tail = str(key).partition(".")
            if tail and head in nested:
                inner[head][tail] = value
            elif key in nested:
                inner[key].update(_keys_and_values(value, key))
            else:
                values[key] = value
        _refuse_unknown(values, cls, "training")
        for name, kind in nested.items():
            _refuse_unknown(inner[name], kind, name)
            if inner[name]:
                values[name] = kind(**_typed(inner[name], kind, f"{name}."))
        for name in ("data", "val"):
            if name in values:
                values[name] = _groups(values[name], name)
        for name in ("pretrained", "frozen"):
            if name in values:
                given = [values[name]] if isinstance(values[name], str) else values[name] or ()
                if not isinstance(given, (list, tuple)) or not all(map(_is_text, given)):
                    raise HandError(f"{name}={given!r} must be a list of names.")
                values[name] = tuple(map(str, given))
        return cls(**_typed(values, cls))

    @classmethod
    def from_yaml(cls, source: str | Path, **overrides: Any) -> TrainConfig:
        """From a yaml file, or by the name of a shipped one; `overrides` replace single keys.

        Overrides go through the same check of unknown keys.

        Raises:
            HandError: no such file or name, no yaml of keys and values, or an unknown key.
        """
        data = read_yaml(find_yaml(source, _SHIPPED, "training config"))
        for name in ("losses", "augment"):  # so that one dotted override keeps its siblings
            for key, value in _keys_and_values(data.pop(name, None), name).items():
                data[f"{name}.{key}"] = value
        return cls.from_dict({**data, **overrides})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for yaml or JSON; the inverse of :meth:`from_dict`."""
        result = asdict(self)
        for name in ("data", "val"):
            result[name] = [asdict(group) for group in getattr(self, name)]
        result["pretrained"], result["frozen"] = list(self.pretrained), list(self.frozen)
        return result

    def hash(self) -> str:
        """Ten hex digits over every key that changes the result (not folders or logging).

        Files it names count by their names; what was in the network's stands in the weights.
        """
        ignored = {"out", "resume", "threads", "workers", "log_steps", "checkpoint_minutes"}
        ignored |= {"recompute", "on_bad", "val_pictures", "tensorboard"}
        relevant = {
            k: v
            for k, v in self.to_dict().items()
            if k not in ignored and not (k in _LATER and v == _LATER[k])
        }
        return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:10]

    def lr_factor(self, step: int, progress: float) -> float:
        """What the learning rates are multiplied by.

        Args:
            step: 0-based, for the linear warm-up.
            progress: 0..1 of the run, for the cosine.
        """
        warm = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        cosine = 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
        return warm * (self.final_lr + (1 - self.final_lr) * cosine)


def _refuse_unknown(values: Mapping[str, Any], kind: type, what: str) -> None:
    known = [f.name for f in fields(kind)]
    for key in values:
        if key not in known:
            raise HandError(f"unknown {what} key {key!r}.{did_you_mean(str(key), known)}")


def _groups(value: Any, name: str) -> tuple[DataGroup, ...]:
    if value is None:
        return ()
    groups = []
    for item in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(item, Mapping):
            _refuse_unknown(item, DataGroup, name)
            if "path" not in item:
                raise HandError(f"{name}: {dict(item)} says no path; give path=.")
            item = DataGroup(**_typed(item, DataGroup, f"{name}."))
        groups.append(item if isinstance(item, DataGroup) else DataGroup(str(item)))
    return tuple(groups)


def _keys_and_values(value: Any, what: str) -> Mapping[str, Any]:
    """The same; none for None."""
    if value is None:
        return {}
    if isinstance(value, (LossWeights, AugmentConfig)):
        return asdict(value)
    if not isinstance(value, Mapping):
        raise HandError(f"{what} must hold keys and values, not {value!r}.")
    return value


def _typed(values: Mapping[str, Any], owner: type, prefix: str = "") -> dict[str, Any]:
    """Values as the fields of a dataclass want them.

    Numbers may stand as yaml or a command line write them (`5e-4` is text in yaml 1.1).
    """
    kinds = {f.name: str(f.type) for f in fields(owner)}
    return {name: _value(prefix + name, value, kinds[name]) for name, value in values.items()}


def _value(name: str, value: Any, kind: str) -> Any:
    if value is None and kind.endswith("| None"):
        return None
    kind = kind.removesuffix(" | None")
    if kind == "bool" and not isinstance(value, bool):
        raise HandError(f"{name}={value!r} must be true or false.")
    if kind == "str":
        if not _is_text(value):
            raise HandError(f"{name}={value!r} must be text.")
        return str(value)
    if kind not in ("float", "int"):
        return value
    whole = kind == "int"
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or (whole and number % 1):
        raise HandError(f"{name}={value!r} must be {'a whole number' if whole else 'a number'}.")
    return int(number) if whole else number


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, Path, int, float)) and not isinstance(value, bool)
