"""Make the priors of the fitting from a pose library.

    python -m wilor_yolo.annotate.build_priors --poses poses.npz \\
        --prior prior.npz --limits limits.yaml

A pose library is an `.npz` with `hand_pose` (N, 45) axis-angle of right hands relative to the flat
hand and, if known, `betas` (N, 10): for example the parameters of ARCTIC, together with
`--hand MANO_RIGHT.pkl`, which is what the paper used. Or shards of training samples with parameters
(`--shards`). Shapes are drawn from the shape space when a library has none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml

from ..errors import NPZ_ERRORS, HandError
from ..mano.files import load_hand_model
from ..mano.layer import HandLayer
from ..shards import find_shards, read_shard
from ..whole_files import write_text
from .biomechanics import ANGLE_JOINTS, BONES, bone_angles, bone_lengths
from .mesh_prior import fit_mesh_prior, save_mesh_prior

__all__ = ["PoseLibrary", "build", "posed", "read_npz", "read_shards"]

PERCENTILES = (0.5, 99.5)
_STARTS = 48  # starting poses kept: centres of clusters of the library
_BETA_LIMIT = 2.5  # standard deviations

PoseLibrary = tuple[np.ndarray, np.ndarray]  # hand_pose (N, 15, 3), betas (N, 10)


def read_npz(path: str | Path, seed: int = 0) -> PoseLibrary:
    """A library from an `.npz` (see above).

    Raises:
        HandError: missing file or arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            pose = np.asarray(data["hand_pose"], np.float32)
            betas = np.asarray(data["betas"], np.float32) if "betas" in data.files else None
    except NPZ_ERRORS as error:
        raise HandError(f"{path} is no pose library with hand_pose (N, 45): {error}.") from None
    pose = pose.reshape(len(pose), -1)
    if pose.shape[1] == 48:  # with the global orientation in front, as MANO writes it
        pose = pose[:, 3:]
    if pose.shape[1] != 45 or not len(pose):
        raise HandError(f"{path}: hand_pose is {pose.shape}, not (N, 45).")
    if betas is None:
        betas = _draw_betas(len(pose), seed)
    return pose.reshape(-1, 15, 3), betas


def read_shards(places: list[str]) -> PoseLibrary:
    """A library from the samples with parameters in shards.

    Raises:
        HandError: no such samples.
    """
    poses, betas = [], []
    for shard in find_shards(places):
        for encoded in read_shard(shard):
            sample = encoded.decode()
            if sample.hand_pose is not None and sample.betas is not None:
                poses.append(sample.hand_pose.reshape(15, 3))
                betas.append(sample.betas)
    if not poses:
        raise HandError(f"{', '.join(map(str, places))}: no samples with hand parameters.")
    return np.stack(poses), np.stack(betas)


def posed(layer: HandLayer, library: PoseLibrary) -> tuple[np.ndarray, torch.Tensor]:
    """Meshes (N, 778, 3) and joints (N, 21, 3), metres, wrist at the origin and unturned."""
    import roma

    vertices, joints = [], []
    with torch.no_grad():
        for start in range(0, len(library[0]), 256):
            pose, betas = (torch.tensor(part[start : start + 256]) for part in library)
            eye = torch.eye(3).expand(len(pose), 3, 3)
            mesh = layer(eye, roma.rotvec_to_rotmat(pose), betas)
            wrist = mesh.joints[:, :1]
            vertices.append((mesh.vertices - wrist).numpy())
            joints.append(mesh.joints - wrist)
    return np.concatenate(vertices), torch.cat(joints)


def build(
    library: PoseLibrary,
    layer: HandLayer,
    prior_path: str | Path,
    limits_path: str | Path,
    source: str,
    seed: int = 0,
) -> None:
    """Fit the mesh prior and the intervals, and write both files."""
    vertices, joints = posed(layer, library)
    starts = _cluster_centres(library[0], _STARTS, seed)
    prior = fit_mesh_prior(vertices, starts, source=source)
    save_mesh_prior(prior, prior_path)
    flexion, abduction = (angle.rad2deg().numpy() for angle in bone_angles(joints))
    lengths = bone_lengths(joints).numpy() * 1000
    low, high = PERCENTILES
    data = {
        "source": f"{low:g} to {high:g} percentile of {source}",
        "bones": _table(BONES, lengths, 1),
        "flexion": _table(ANGLE_JOINTS, flexion, 1),
        "abduction": _table(ANGLE_JOINTS, abduction, 1),
    }
    head = (
        "# Feasible intervals of a hand: bones in millimetres, angles in degrees (see\n"
        "# wilor_yolo/annotate/biomechanics.py for the frames). Replace the numbers freely.\n"
    )
    text = head + yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=100)
    write_text(limits_path, text)
    print(f"{prior_path}: d = {prior.d}, floor {1e3 * prior.floor**0.5:.2f} mm; {limits_path}")


def _table(names: tuple[str, ...], values: np.ndarray, digits: int) -> dict[str, list[float]]:
    edges = np.percentile(values, PERCENTILES, axis=0).T
    return {
        name: [round(float(low), digits), round(float(high), digits)]
        for name, (low, high) in zip(names, edges, strict=True)
    }


def _draw_betas(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(count, 10)).clip(-_BETA_LIMIT, _BETA_LIMIT)
    return drawn.astype(np.float32)


def _cluster_centres(poses: np.ndarray, count: int, seed: int, rounds: int = 20) -> np.ndarray:
    """k-means centres (count, 15, 3), each replaced by the library's pose nearest to it."""
    flat = poses.reshape(len(poses), -1).astype(np.float64)
    rng = np.random.default_rng(seed)
    count = min(count, len(flat))
    centres = flat[rng.choice(len(flat), count, replace=False)]
    for _ in range(rounds):
        distance = ((flat**2).sum(1)[:, None] - 2 * flat @ centres.T) + (centres**2).sum(1)
        nearest = distance.argmin(1)
        for k in range(count):
            if (nearest == k).any():
                centres[k] = flat[nearest == k].mean(0)
    distance = ((flat**2).sum(1)[:, None] - 2 * flat @ centres.T) + (centres**2).sum(1)
    return poses[np.unique(distance.argmin(0))]


def main(argv: Sequence[str] | None = None) -> int:
    """Make both files; 1 when the library, the shards or the hand model cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--poses", help="pose library .npz")
    parser.add_argument("--shards", nargs="*", help="shards or folders of them, instead")
    parser.add_argument("--hand", help="MANO .pkl or .npz; the free hand by default")
    parser.add_argument("--prior", required=True, help="the .npz to write")
    parser.add_argument("--limits", required=True, help="the .yaml to write")
    parser.add_argument("--source", default="", help="a line about the library")
    args = parser.parse_args(argv)
    if bool(args.poses) == bool(args.shards):
        parser.error("give --poses or --shards")
    try:
        library = read_npz(args.poses) if args.poses else read_shards(args.shards)
        layer = HandLayer(load_hand_model(args.hand))
        source = args.source or f"{len(library[0])} hands of {args.poses or args.shards}"
        build(library, layer, args.prior, args.limits, source)
    except HandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
