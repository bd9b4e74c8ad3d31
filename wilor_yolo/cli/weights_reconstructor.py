"""``weights convert`` to a reconstructor: from the released checkpoint, or from somebody's ViT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ..errors import WeightsError

__all__ = ["convert_reconstructor"]


def convert_reconstructor(source: Path, out: Path, heads: int | None, network: str | None) -> None:
    """Write `source` in our format, half storage, and print what was kept and what was dropped.

    Args:
        source: the released checkpoint; with `network`, the ViT or CNN that it starts from.
        out: a `.safetensors`.
        heads: of a released checkpoint of another size.
        network: name or yaml file of a network, whose other tensors are made new (seed 0).
    """
    from ..reconstruct.checkpoints import save_network

    if network is None:
        from ..reconstruct.released import (
            RELEASED_HEADS,
            NotReleasedError,
            load_released,
            released_names,
        )

        try:
            released = load_released(source, heads or RELEASED_HEADS)
        except NotReleasedError as error:
            raise WeightsError(f"{error} A ViT to start from needs network=.") from None
        save_network(out, released, {"source": source.name})
        kept, dropped = released_names(source)
        if heads is None:
            print(
                f"heads   {RELEASED_HEADS}; the file does not say: heads= if it was another number"
            )
        print(f"kept    {_by_part(kept)}")
        print(f"dropped {_by_part(dropped)}")
        return
    import torch

    from ..mano.files import load_hand_model
    from ..reconstruct.config import NetworkConfig
    from ..reconstruct.initialise import initialise_stem
    from ..reconstruct.network import HandNetwork
    from ..reconstruct.vit_weights import unused_names

    torch.manual_seed(0)
    model = HandNetwork(NetworkConfig.from_yaml(network), load_hand_model())
    done = initialise_stem(model, source)
    save_network(out, model, {"source": source.name, "network": network, "steps": 0}, trained=False)
    print(f"kept    {_by_part(done.taken)}")
    if model.config.stem == "patch":
        print(f"dropped {_by_part(unused_names(source, done.taken))}")
    print(f"new     {_by_part(done.left)}, and the heads and the refinement")


def _by_part(names: Iterable[str]) -> str:
    """How many tensors of each part, a part being what stands before the first dot."""
    counts = Counter(name.partition(".")[0] for name in names)
    return ", ".join(f"{part} ({count})" for part, count in counts.items()) or "nothing"
