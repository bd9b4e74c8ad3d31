"""The PCA prior of posed meshes (paper section 3, Eq. 4).

    E_prior = || X - (((X - mu) U^T) U + mu) ||^2

X is the mesh with its global orientation and position taken off (wrist at the origin), so that it
tells of pose and shape only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import NPZ_ERRORS, WeightsError
from ..skeleton import NUM_VERTICES
from ..weights_dir import shipped
from ..whole_files import replacing

__all__ = ["DEFAULT_PRIOR", "HandPrior", "fit_mesh_prior", "load_mesh_prior", "save_mesh_prior"]

DEFAULT_PRIOR = "annotate/hand_prior.npz"


@dataclass(frozen=True)
class HandPrior:
    """What fitting knows of hands beforehand.

    Attributes:
        mean: (778 * 3,) mu, metres, wrist at the origin, wrist unturned.
        basis: (d, 778 * 3) U, orthonormal rows, most variance first.
        floor: metres^2, the mean E_prior per vertex of the set it was fitted on.
        poses: (P, 15, 3) axis-angle, typical poses to start from.
        source: what it was fitted on, one line.
    """

    mean: Tensor
    basis: Tensor
    floor: float
    poses: Tensor
    source: str = ""

    @property
    def d(self) -> int:
        """Number of components."""
        return len(self.basis)

    def to(self, device: torch.device | str) -> HandPrior:
        """The same on another device."""
        tensors = (t.to(device) for t in (self.mean, self.basis))
        mean, basis = tensors
        return HandPrior(mean, basis, self.floor, self.poses.to(device), self.source)

    def energy(self, vertices: Tensor) -> Tensor:
        """E_prior (B,) of meshes (B, 778, 3), divided by the number of vertices: metres^2.

        Args:
            vertices: wrist joint at the origin, global orientation taken off.
        """
        centred = vertices.flatten(1) - self.mean
        # ||r||^2 = ||x||^2 - ||x U^T||^2 for orthonormal rows, without building the residual.
        inside = centred @ self.basis.T
        energy = centred.square().sum(-1) - inside.square().sum(-1)
        return energy.clamp(min=0) / NUM_VERTICES


def fit_mesh_prior(
    vertices: np.ndarray, poses: np.ndarray, variance: float = 0.99, source: str = ""
) -> HandPrior:
    """Fit mu and U on posed meshes.

    Args:
        vertices: (N, 778, 3) metres, wrist at the origin, unturned.
        poses: (P, 15, 3) axis-angle starting poses to keep beside it.
        variance: share of the variance U must explain; decides d.
        source: a line about the set.
    """
    flat = np.asarray(vertices, np.float64).reshape(len(vertices), -1)
    mean = flat.mean(0)
    centred = flat - mean
    if len(flat) > flat.shape[1]:
        spectrum, vectors = np.linalg.eigh(centred.T @ centred / len(flat))
        spectrum, basis = spectrum[::-1], vectors.T[::-1]
    else:
        _, singular, basis = np.linalg.svd(centred, full_matrices=False)
        spectrum = singular**2 / len(flat)
    explained = np.cumsum(spectrum) / spectrum.sum()
    d = int(np.searchsorted(explained, variance)) + 1
    floor = float(spectrum[d:].sum() / NUM_VERTICES)
    return HandPrior(
        torch.tensor(mean, dtype=torch.float32),
        torch.tensor(basis[:d].copy(), dtype=torch.float32),
        floor,
        torch.tensor(np.asarray(poses), dtype=torch.float32),
        source,
    )


def save_mesh_prior(prior: HandPrior, path: str | Path) -> None:
    """Write an `.npz` (float16 for the basis), whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            mean=prior.mean.numpy(),
            basis=prior.basis.numpy().astype(np.float16),
            floor=np.float64(prior.floor),
            poses=prior.poses.numpy().astype(np.float16),
            d=np.int64(prior.d),
            source=np.array(prior.source),
        )


def load_mesh_prior(path: str | Path | None = None) -> HandPrior:
    """Read a prior; None for the one that ships with us (of the free hand).

    Raises:
        WeightsError: the file is missing or something else.
    """
    path = shipped(DEFAULT_PRIOR) if path is None else Path(path)
    if not path.is_file():
        raise WeightsError(
            f"{path} does not exist; make one with wilor_yolo.annotate.build_priors."
        )
    try:
        with np.load(path, allow_pickle=False) as data:
            mean, basis, poses = (
                torch.tensor(data[name].astype(np.float32)) for name in ("mean", "basis", "poses")
            )
            floor, source = float(data["floor"]), str(data["source"])
    except NPZ_ERRORS as error:
        raise WeightsError(f"{path} is no hand prior: {error}.") from None
    if mean.shape != (NUM_VERTICES * 3,) or basis.ndim != 2 or basis.shape[1] != len(mean):
        raise WeightsError(f"{path} is a prior of another mesh: {tuple(basis.shape)}.")
    if poses.ndim != 3 or poses.shape[1:] != (15, 3) or not len(poses):
        raise WeightsError(f"{path} holds no starting poses.")
    # Half precision leaves rows a little off unit length, which `energy` relies on.
    basis = torch.linalg.qr(basis.double().T).Q.T.float()
    return HandPrior(mean, basis, floor, poses, source)
