"""``wilor-yolo reconstruct train|val|predict|export|prior|ablate``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..errors import HandError
from .keys import describe_keys, key, maybe, read_keys, text, whole
from .reconstruct_ablate import HELP as ABLATE_HELP
from .reconstruct_ablate import ablate
from .reconstruct_export import HELP as EXPORT_HELP
from .reconstruct_export import export
from .reconstruct_prior import HELP as PRIOR_HELP
from .reconstruct_prior import make_prior
from .verbs import choose

__all__ = ["HELP", "run"]

_PARTS = ("train", "val", "predict", "export", "prior", "ablate")


@dataclass(frozen=True)
class ValOptions:
    """The keys of ``reconstruct val``."""

    data: str = key(..., text, "a shard, a folder of shards or a glob in quotes")
    weights: str | None = key(None, maybe(text), "reconstructor file", "the shipped weights")
    hand_model: str | None = key(None, maybe(text), "MANO .pkl or .npz file", "the free hand")
    samples: int | None = key(None, maybe(whole(1)), "at most so many, spread over the shards")
    batch: int = key(32, whole(1), "crops a forward pass")


HELP = f"""\
wilor-yolo reconstruct: train, measure, export the reconstructor, or compare trainings

  wilor-yolo reconstruct train data=shards/train val=shards/val init=start.safetensors minutes=120
  wilor-yolo reconstruct train data=shards/train network=vit-tiny pretrained=[] frozen=[]
  wilor-yolo reconstruct train config=paper data="[{{path: synth, weight: 2}}, real/train]"
  wilor-yolo reconstruct train config=paper data=released data_root=shards
  wilor-yolo reconstruct train config=runs/reconstruct/config.yaml         goes on where it was
  wilor-yolo reconstruct val   data=shards/val weights=runs/reconstruct/final.safetensors
  wilor-yolo reconstruct predict source=photo.jpg                          the same as predict
  wilor-yolo reconstruct export weights=runs/reconstruct/final.safetensors format=openvino
  wilor-yolo reconstruct prior out=prior.npz data=shards/freihand
  wilor-yolo reconstruct ablate grid=ours data=shards/train val=shards/val steps=2000

train: config= is the name of a shipped training file (default, paper) or a yaml file; every key of
it can be given here too, inner keys with a dot: losses.betas=0.1 augment.scale=0.2
data= takes folders of shards, or a mix: released, hamer, freihand, or a yaml file like those;
data_root= is the folder that holds the sets of a mix
val: errors by source; of the 2D ones also that of the hand before refinement (coarse) and of the
landmarks a network of that kind sees on its way
{describe_keys(ValOptions)}
{EXPORT_HELP}
{PRIOR_HELP}{ABLATE_HELP}"""


def run(args: list[str]) -> int:
    """Run the verb."""
    part, rest = choose("reconstruct", args, _PARTS)
    if part == "predict":
        from . import predict

        return predict.run(rest)
    if part == "ablate":
        return ablate(_yaml_pairs(rest))
    if part == "export":
        return export(rest)
    if part == "prior":
        return make_prior(rest)
    return _train(rest) if part == "train" else _val(rest)


def _train(args: Sequence[str]) -> int:
    values = _yaml_pairs(args)
    config_name = str(values.pop("config", "default"))
    mix_root = values.pop("data_root", None)
    if isinstance(values.get("data"), str):
        from ..reconstruct.mixes import load_mix

        values["data"] = load_mix(values["data"], mix_root) or values["data"]
    from ..reconstruct.train_config import TrainConfig

    config = TrainConfig.from_yaml(config_name, **values)
    if config.devices > 1:
        _start_as_module(args)
    from ..reconstruct.trainer import ReconstructorTrainer

    result = ReconstructorTrainer(config).fit()
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return 0  # one process reports
    print(f"{result.step} steps, {result.crops_per_second:.0f} crops/s, {result.weights}")
    for source, errors in result.errors.items():
        print(f"{source:20s} {errors}")
    return 0


def _start_as_module(args: Sequence[str]) -> None:
    """Several processes are started by running the same program again, which has to be a module:
    the installed `wilor-yolo` is a script, and `main` has renamed it."""
    from . import main

    is_script = getattr(sys.modules["__main__"], "__spec__", None) is None
    if is_script and sys.argv[0] == main.__file__ and "LOCAL_RANK" not in os.environ:
        sys.stdout.flush()
        words = [sys.executable, "-m", "wilor_yolo", "reconstruct", "train", *args]
        os.execv(sys.executable, words)


def _yaml_pairs(args: Sequence[str]) -> dict[str, Any]:
    """``key=value`` with yaml values; keys are checked by `TrainConfig`.

    Text stays as it is typed: a folder may be called 007 or 2026-11-28.
    """
    import yaml

    from ..reconstruct.train_config import TrainConfig

    kinds = {field.name: str(field.type) for field in fields(TrainConfig)}
    values: dict[str, Any] = {}
    for argument in args:
        name, equals, value = argument.lstrip("-").partition("=")
        if not equals or not value:
            raise HandError(
                f"{argument!r} is no key=value pair. See: wilor-yolo reconstruct --help"
            )
        if name in values:
            raise HandError(f"{name} is given twice; keep one.")
        try:
            read = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            raise HandError(f"{argument!r}: the value is no yaml; put it in quotes.") from None
        is_text = kinds.get(name, "").startswith(("str", "tuple[DataGroup"))
        if is_text and not isinstance(read, (str, list, dict, type(None))):
            read = value
        values[name] = read
    return values


def _val(args: Sequence[str]) -> int:
    options = read_keys(ValOptions, args, "reconstruct val")
    from ..reconstruct.exported import ExportedNetwork
    from ..reconstruct.mixing import DataGroup, SampleStore
    from ..reconstruct.predictor import HandReconstructor
    from ..reconstruct.validation import validate

    reconstructor = HandReconstructor(options.weights, hand_model=options.hand_model)
    path, network = reconstructor.weights, reconstructor.network
    if isinstance(network, ExportedNetwork):
        raise HandError(f"{path} is an exported file; val looks inside: give its torch weights.")
    store = SampleStore([DataGroup(options.data)], limit=options.samples)
    print(f"{path}, {len(store)} samples of {options.data}")
    for source, errors in validate(network, store.samples(), options.batch).items():
        print(f"{source:20s} {errors}")
    return 0
