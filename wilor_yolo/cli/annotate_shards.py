"""``wilor-yolo annotate shards``: fitted hands for shards that know 2D landmarks only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..errors import HandError
from .keys import choice, describe_keys, key, maybe, number, read_keys, text
from .shared_keys import hand_model_key

if TYPE_CHECKING:
    from ..annotate.fitting import HandFitter

__all__ = ["HELP", "check_model", "fit_shards_of", "make_fitter"]


class _ModelKeys(Protocol):
    """The keys that both forms of the verb have."""

    @property
    def projection(self) -> str: ...
    @property
    def hand_model(self) -> str | None: ...
    @property
    def prior(self) -> str | None: ...
    @property
    def limits(self) -> str | None: ...
    @property
    def device(self) -> str: ...


@dataclass(frozen=True)
class ShardsOptions:
    """The keys of ``annotate shards``."""

    source: str = key(..., text, "a shard, a folder of shards or a glob in quotes")
    out: str = key(..., text, "another folder; shards that are there are not made again")
    focal: float = key(
        2.0, number(0.1, 100), "focal length of samples without K, in longer sides of the crop"
    )
    confidence: float = key(0.3, number(0, 1), "weight of the fitted 3D joints in training")
    reconstructor: str | None = key(
        None,
        maybe(text),
        "weights whose view of the joints in space is half of the hint for the depths; "
        "reconstructor-s.safetensors are the shipped ones",
    )
    device: str = key("cpu", text, "cpu, cuda:0, ...")
    projection: str = key("full", choice("full", "weak"), "camera of the fit; the paper: weak")
    hand_model: str | None = hand_model_key()
    prior: str | None = key(None, maybe(text), "mesh prior .npz of that hand", "the free hand's")
    limits: str | None = key(None, maybe(text), "biomechanical limits .yaml", "ours")


HELP = f"""\
shards: add fitted hands to shards of crops with 2D landmarks and sides

  wilor-yolo annotate shards source=shards/real/train out=shards/real_fit/train

{describe_keys(ShardsOptions)}
"""


def fit_shards_of(args: list[str]) -> int:
    """Run the part of the verb; 1 when samples were damaged."""
    options = read_keys(ShardsOptions, args, "annotate shards")
    check_model(options)
    from ..annotate.shard_fits import fit_shards

    reconstructor = None
    if options.reconstructor is not None:
        from ..reconstruct.predictor import HandReconstructor

        reconstructor = HandReconstructor(
            options.reconstructor, hand_model=options.hand_model, device=options.device
        )
    fits = fit_shards(
        options.source,
        options.out,
        make_fitter(options),
        options.focal,
        options.confidence,
        reconstructor,
    )
    print(f"{options.out}: {fits}")
    return 1 if any("damaged" in what for what in fits.counts) else 0


def check_model(options: _ModelKeys) -> None:
    """Another hand has other priors.

    Raises:
        HandError: they are not given.
    """
    if options.hand_model and not (options.prior and options.limits):
        raise HandError(
            "another hand_model= needs its own prior= and limits=: make them with "
            "python -m wilor_yolo.annotate.build_priors --hand ..."
        )


def make_fitter(options: _ModelKeys) -> HandFitter:
    """The fitter that the keys ask for.

    Raises:
        HandError: there is no such device, file or prior.
    """
    from ..annotate.biomechanics import read_limits
    from ..annotate.fitting import FitSettings, HandFitter
    from ..annotate.mesh_prior import load_mesh_prior
    from ..devices import torch_device
    from ..mano.files import load_hand_model
    from ..mano.layer import HandLayer

    return HandFitter(
        HandLayer(load_hand_model(options.hand_model)),
        load_mesh_prior(options.prior),
        read_limits(options.limits),
        FitSettings(projection=options.projection),
        torch_device(options.device),
    )
