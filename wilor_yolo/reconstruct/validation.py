"""Errors of a network on held-out samples, per source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from ..geometry import project_crop, rotation_6d_to_matrix
from ..metrics.pose import pa_errors, relative_2d_errors, root_relative_errors
from ..samples import SURE_3D, EncodedSample
from .batches import make_batch
from .losses import complete_targets
from .network import CoarseHand, HandNetwork
from .pointing import upright_turn
from .trunk import TrunkOutput

__all__ = ["SourceErrors", "score", "validate"]

SURE = 0.5  # a 2D keypoint below this confidence is no yardstick


@dataclass(frozen=True)
class SourceErrors:
    """Means over the samples of one source; NaN where the source has no such truth.

    Attributes:
        count: samples.
        pa_mpjpe, pa_mpvpe: mm, Procrustes-aligned joints and vertices.
        mpjpe: mm, relative to the wrist, not aligned.
        error_2d: share of the longer side of the hand box.
        betas: root mean square error of the shape parameters.
        coarse_2d: as `error_2d`, of the hand before refinement.
        seen_2d: as `error_2d`, of the landmarks that the network sees on its way to the hand (those
            of a landmark stem or of keypoint tokens); NaN if it has none.
    """

    count: int
    pa_mpjpe: float
    pa_mpvpe: float
    mpjpe: float
    error_2d: float
    betas: float
    coarse_2d: float = float("nan")
    seen_2d: float = float("nan")

    def __str__(self) -> str:
        return (
            f"n={self.count:<5d} PA-MPJPE {self.pa_mpjpe:5.2f} mm  PA-MPVPE {self.pa_mpvpe:5.2f} "
            f"mm  MPJPE {self.mpjpe:5.1f} mm  2D {100 * self.error_2d:5.2f} % of the box "
            f"(coarse {100 * self.coarse_2d:5.2f} %"
            + (f", landmarks {100 * self.seen_2d:5.2f} %" if math.isfinite(self.seen_2d) else "")
            + f")  betas {self.betas:4.2f}"
        )

    def numbers(self) -> dict[str, float]:
        """Plain numbers for a log."""
        return asdict(self)


def score(errors: dict[str, SourceErrors]) -> float:
    """One number to pick the best network: mean PA-MPJPE in mm + mean 2D error in % of the box.

    What no source knows is left out; inf if nothing is left.
    """
    parts = []
    for values in (
        [e.pa_mpjpe for e in errors.values()],
        [100 * e.error_2d for e in errors.values()],
    ):
        finite = [v for v in values if math.isfinite(v)]
        if finite:
            parts.append(sum(finite) / len(finite))
    return sum(parts) if parts else math.inf


@torch.inference_mode()
def validate(
    network: HandNetwork,
    samples: Sequence[EncodedSample],
    batch_size: int = 64,
    channels_last: bool = False,
) -> dict[str, SourceErrors]:
    """Run a network on the plain views of samples; then on turned ones, if it looks twice.

    Args:
        network: put into evaluation mode for the time of the call.
        samples: encoded; their sources key the result.
        batch_size: crops a forward pass.
        channels_last: memory layout of the crops.

    Returns:
        Errors by source, in order of first appearance.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    layout = torch.channels_last if channels_last else torch.contiguous_format
    rows: dict[str, list[tuple[float, ...]]] = {}
    read: list[TrunkOutput] = []
    listening = network.trunk.register_forward_hook(lambda _, __, out: read.append(out))
    try:
        for start in range(0, len(samples), batch_size):
            chosen = samples[start : start + batch_size]
            batch = make_batch(chosen, network.config)
            output = network(batch.crops.to(device, memory_format=layout))
            if network.config.second_look:
                angles = upright_turn(output.keypoints_2d_crop.cpu().numpy()).tolist()
                batch = make_batch(chosen, network.config, angles=angles)
                output = network(batch.crops.to(device, memory_format=layout))
            targets = complete_targets(batch.targets.to(device), network.hand)
            known = targets.known
            joints = output.joints.cpu().numpy()
            true_joints = known.joints_3d.cpu().numpy()
            relative = output.vertices - output.joints[:, :1]
            pa_vertices = pa_errors(relative.cpu().numpy(), targets.vertices.cpu().numpy()).mean(1)
            evidence = read[-1].evidence  # of the same look as the output
            read.clear()
            coarse = _coarse_keypoints(network, output.coarse)
            seen = torch.full_like(coarse, math.nan) if evidence is None else evidence.points
            refined_2d, coarse_2d, seen_2d = (
                _row_means(
                    relative_2d_errors(
                        points.cpu().numpy(),
                        known.keypoints_2d.cpu().numpy(),
                        batch.box_sides,
                        SURE,
                    )
                )
                for points in (output.keypoints_2d_crop, coarse, seen)
            )
            columns = np.stack(
                (
                    pa_errors(joints, true_joints).mean(1),
                    pa_vertices,
                    root_relative_errors(joints, true_joints).mean(1),
                    refined_2d,
                    (output.betas - known.betas).square().mean(1).sqrt().cpu().numpy(),
                    coarse_2d,
                    seen_2d,
                ),
                axis=1,
            )
            has_joints = known.joints_3d_weight.cpu().numpy() > SURE_3D
            # Parameters beside weak joints are a fit to one view, no truth.
            has_parameters = has_joints & (known.has_parameters.cpu().numpy() > 0)
            columns[np.ix_(~has_joints, np.array([0, 2]))] = np.nan
            columns[np.ix_(~has_parameters, np.array([1, 4]))] = np.nan
            for key, row in zip(batch.keys, columns, strict=True):
                rows.setdefault(key.split("/")[0], []).append(tuple(row))
    finally:
        listening.remove()
        network.train(was_training)
    return {
        source: SourceErrors(len(values), *(_mean(column) for column in zip(*values, strict=True)))
        for source, values in rows.items()
    }


def _coarse_keypoints(network: HandNetwork, coarse: CoarseHand) -> Tensor:
    """(B, 21, 2) crop units, of the hand before refinement."""
    rotations = rotation_6d_to_matrix(coarse.pose6d.float().view(-1, 16, 6))
    mesh = network.hand(rotations[:, :1], rotations[:, 1:], coarse.betas.float())
    return project_crop(mesh.joints, coarse.cam)


def _row_means(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    count = known.sum(axis=1)
    sums = np.where(known, values, 0).sum(axis=1)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def _mean(values: Sequence[float]) -> float:
    array = np.array(values)
    return float(array[np.isfinite(array)].mean()) if np.isfinite(array).any() else float("nan")
