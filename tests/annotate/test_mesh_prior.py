from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from wilor_yolo.annotate.mesh_prior import (
    DEFAULT_PRIOR,
    HandPrior,
    fit_mesh_prior,
    load_mesh_prior,
    save_mesh_prior,
)
from wilor_yolo.errors import WeightsError
from wilor_yolo.weights_dir import shipped

POSES = np.zeros((2, 15, 3), np.float32)


def made(count: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Meshes that vary along three directions around a mean, and the directions (3, 2334)."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(2334, 3)))[0].T
    flat = rng.normal(size=2334) + rng.normal(size=(count, 3)) * (3.0, 2.0, 1.0) @ directions
    return flat.reshape(count, 778, 3), directions


def test_the_fit_finds_the_space_and_its_d() -> None:
    meshes, directions = made()
    prior = fit_mesh_prior(meshes, POSES, variance=0.999)
    assert prior.d == 3
    inside = directions @ prior.basis.double().numpy().T
    assert np.linalg.svd(inside)[1] == pytest.approx(np.ones(3), abs=1e-4)


def test_energy_is_equation_4() -> None:
    meshes, _ = made()
    prior = fit_mesh_prior(meshes, POSES, variance=0.8)  # leaves out a direction
    X = torch.tensor(meshes[:5], dtype=torch.float32).flatten(1)
    U, mu = prior.basis, prior.mean
    written = (X - (((X - mu) @ U.T) @ U + mu)).square().sum(1) / 778
    energy = prior.energy(X.reshape(-1, 778, 3))
    assert torch.allclose(energy, written, rtol=1e-3, atol=1e-5) and energy.max() > 1e-4
    everything = prior.energy(torch.tensor(meshes, dtype=torch.float32)).mean()
    assert prior.floor == pytest.approx(float(everything), rel=0.02)


def test_energy_is_zero_in_the_space_and_grows_outside() -> None:
    meshes, _ = made()
    prior = fit_mesh_prior(meshes, POSES, variance=0.9999)
    off = torch.tensor(meshes[:1], dtype=torch.float32)
    assert prior.energy(off).item() < 1e-6
    off[:, 0, 0] += 1.0
    assert prior.energy(off).item() == pytest.approx(1 / 778, rel=0.05)


def test_saved_and_read_again(tmp_path: Path) -> None:
    meshes, _ = made()
    prior = fit_mesh_prior(meshes, POSES, source="made up")
    path = tmp_path / "prior.npz"
    save_mesh_prior(prior, path)
    again = load_mesh_prior(path)
    assert (again.d, again.source) == (prior.d, "made up")
    assert torch.allclose(again.basis @ again.basis.T, torch.eye(again.d), atol=1e-5)
    mesh = torch.tensor(meshes[:3], dtype=torch.float32) + 0.01 * torch.randn(3, 778, 3)
    assert torch.allclose(again.energy(mesh), prior.energy(mesh), rtol=0.05)
    assert [p.name for p in tmp_path.iterdir()] == ["prior.npz"]


def test_the_shipped_one() -> None:
    prior = load_mesh_prior()
    assert isinstance(prior, HandPrior) and 10 <= prior.d <= 40 and len(prior.poses) >= 16
    assert 0 < prior.floor**0.5 < 0.003  # metres


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with pytest.raises(WeightsError, match="does not exist"):
        load_mesh_prior(path)
    whole = shipped(DEFAULT_PRIOR).read_bytes()
    spoilt = bytearray(whole)
    spoilt[len(whole) // 3 : len(whole) // 3 + 50] = bytes(50)
    for content in (whole[: len(whole) // 2], spoilt, b""):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="no hand prior"):
            load_mesh_prior(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(WeightsError, match="no hand prior"):
        load_mesh_prior(path)
    np.savez(path, mean=np.zeros(9), basis=np.zeros((2, 9)), floor=0, poses=POSES, source="")
    with pytest.raises(WeightsError, match="another mesh"):
        load_mesh_prior(path)
