"""``wilor-yolo reconstruct prior``: real poses and shapes for the discriminator, or a PCA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import HandError
from .keys import describe_keys, key, maybe, read_keys, text, whole

if TYPE_CHECKING:
    import numpy as np

__all__ = ["HELP", "make_prior"]

_BETA_LIMIT = 2.5  # standard deviations, as in the synthetic pictures


@dataclass(frozen=True)
class PriorOptions:
    """The keys of ``reconstruct prior``."""

    out: str = key(..., text, "the .npz to write; train with prior=")
    data: str | None = key(
        None, maybe(text), "shards whose samples have hand parameters, from any data set"
    )
    poses: str | None = key(
        None, maybe(text), "an .npz with hand_pose (N, 45 or 48) and betas (N, 10), right hands"
    )
    library: int | None = key(
        None, maybe(whole(1)), "so many poses of our own library, shapes drawn at random"
    )
    most: int = key(20000, whole(1), "hands kept, drawn evenly from all there are")
    seed: int = key(0, whole(0), "of the library")
    mesh_prior: str | None = key(
        None, maybe(text), "also fit the PCA prior of posed meshes (annotate) and write it here"
    )
    hand_model: str | None = key(
        None, maybe(text), "MANO .pkl or .npz to pose for it", "the free hand"
    )


HELP = f"""\
prior: poses and shapes that the discriminator takes for real; give data=, poses= or library=
{describe_keys(PriorOptions)}
"""


def make_prior(args: Sequence[str]) -> int:
    """Run ``reconstruct prior``."""
    options = read_keys(PriorOptions, args, "reconstruct prior")
    given = [name for name in ("data", "poses", "library") if getattr(options, name) is not None]
    if len(given) != 1:
        raise HandError("give one of data=, poses= and library=: where the poses come from.")
    from ..reconstruct.priors import save_prior

    rows, source = _rows(options)
    if not len(rows):
        raise HandError(f"{source}: no samples with hand parameters.")
    save_prior(Path(options.out), rows, source)
    print(f"{len(rows)} hands of {source}: {options.out}")
    if options.mesh_prior is not None:
        _write_mesh_prior(options, rows, source)
    return 0


def _rows(options: PriorOptions) -> tuple[np.ndarray, str]:
    """(M, 55) poses and betas, and a line that says where they come from."""
    import numpy as np

    from ..reconstruct.priors import collect_prior, load_prior

    if options.library is not None:
        from ..synth.poses import sample_pose

        rng = np.random.default_rng(options.seed)
        count = min(options.library, options.most)
        poses = np.stack([sample_pose(rng)[1:].reshape(45) for _ in range(count)])
        betas = rng.normal(size=(count, 10)).clip(-_BETA_LIMIT, _BETA_LIMIT)
        rows = np.concatenate((poses, betas), axis=1).astype(np.float32)
        return rows, f"pose library, seed {options.seed}"
    if options.poses is not None:
        rows = load_prior(Path(options.poses))
        keep = np.linspace(0, len(rows) - 1, min(len(rows), options.most)).round().astype(int)
        return rows[keep], options.poses
    from ..shards import find_shards, read_shard

    samples = (sample for path in find_shards(str(options.data)) for sample in read_shard(path))
    return collect_prior(samples, options.most), str(options.data)


def _write_mesh_prior(options: PriorOptions, rows: np.ndarray, source: str) -> None:
    from ..annotate.build_priors import build
    from ..mano.files import load_hand_model
    from ..mano.layer import HandLayer

    path = Path(str(options.mesh_prior))
    limits = path.with_suffix(".limits.yaml")
    layer = HandLayer(load_hand_model(options.hand_model))
    build((rows[:, :45].reshape(-1, 15, 3), rows[:, 45:]), layer, path, limits, source)
