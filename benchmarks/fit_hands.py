"""Fit hands whose pose is known, with each term switched off in turn.

    python benchmarks/fit_hands.py --poses poses_test.npz --hands 128

Hands of a pose library (see wilor_yolo.annotate.build_priors) that the prior was not fitted on,
with drawn shapes, seen from anywhere, 0.25 to 1.2 m away, are projected; noise is laid on their
landmarks; they are fitted, and compared with the truth.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from wilor_yolo.annotate.build_priors import read_npz
from wilor_yolo.annotate.fitted import FittedHands
from wilor_yolo.annotate.fitting import FitSettings, HandFitter
from wilor_yolo.geometry import default_intrinsics, mirror_points, project
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.metrics.procrustes import align_similarity


@dataclass(frozen=True)
class Truth:
    """N hands: `joints` (N, 21, 3) camera metres, `is_right` (N,), `keypoints` (N, 21, 3) px with
    noise and confidence, `clean` (N, 21, 2) px, `intrinsics` (N, 3, 3), `size` (N,) px."""

    joints: np.ndarray
    is_right: np.ndarray
    keypoints: np.ndarray
    clean: np.ndarray
    intrinsics: np.ndarray
    size: np.ndarray


def make_truth(path: str, count: int, noise: float, seed: int = 0) -> Truth:
    """`noise`: standard deviation of the landmarks in hand sizes."""
    import roma

    rng = np.random.default_rng(seed)
    pose, betas = read_npz(path, seed + 1)
    chosen = rng.choice(len(pose), count, replace=count > len(pose))
    rotation = roma.random_rotmat(count, dtype=torch.float32)
    layer = HandLayer.free()
    with torch.no_grad():
        mesh = layer(
            rotation, roma.rotvec_to_rotmat(torch.tensor(pose[chosen])), torch.tensor(betas[chosen])
        )
    joints = mesh.joints.numpy() - mesh.joints.numpy()[:, :1]
    K = default_intrinsics(1280, 720)
    depth = rng.uniform(0.25, 1.2, count)
    place = rng.uniform((200, 120), (1080, 600), (count, 2))
    shift = np.concatenate(((place - K[:2, 2]) / K[0, 0], np.ones((count, 1))), 1) * depth[:, None]
    joints = joints + shift[:, None]
    is_right = rng.random(count) < 0.5
    joints = np.where(is_right[:, None, None], joints, mirror_points(joints))
    clean = project(joints, K)
    size = (clean.max(1) - clean.min(1)).max(1)
    moved = clean + rng.normal(size=clean.shape) * noise * size[:, None, None]
    keypoints = np.concatenate((moved, np.ones((count, 21, 1))), -1)
    return Truth(joints, is_right, keypoints, clean, np.repeat(K[None], count, 0), size)


def measure(truth: Truth, fitted: FittedHands) -> dict[str, float]:
    """Medians over the accepted hands, and the share rejected."""
    keep = fitted.converged
    joints = fitted.joints + fitted.cam_t[:, None]
    aligned = align_similarity(joints[keep], truth.joints[keep])
    error = np.linalg.norm(aligned - truth.joints[keep], axis=-1).mean(1) * 1000
    off = np.linalg.norm(fitted.keypoints_2d - truth.clean, axis=-1).mean(1) / truth.size * 100
    depth = np.abs(joints[keep, 0, 2] / truth.joints[keep, 0, 2] - 1) * 100
    return {
        "PA joint error, mm": float(np.median(error)),
        "90th percentile": float(np.percentile(error, 90)),
        "2D residual, %": float(np.median(fitted.residual[keep]) * 100),
        "2D error, %": float(np.median(off[keep])),
        "depth error, %": float(np.median(depth)),
        "rejected, %": float((~keep).mean() * 100),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--poses", required=True)
    parser.add_argument("--hands", type=int, default=128)
    parser.add_argument("--noise", type=float, nargs="*", default=[0.0, 0.02])
    parser.add_argument("--only", default="", help="run the rows whose name holds this")
    args = parser.parse_args()
    torch.manual_seed(0)
    plain = FitSettings()
    off = {
        f"no {term}": replace(plain, weights=replace(plain.weights, **{term: 0.0}))
        for term in ("bone", "angle", "prior", "shape")
    }
    nothing = replace(plain.weights, bone=0.0, angle=0.0, prior=0.0, shape=0.0)
    rows = {
        "all terms": plain,
        **off,
        "L_proj only": replace(plain, weights=nothing),
        "weak perspective": replace(plain, projection="weak"),
        "one start": replace(
            plain, starts=1, stages=tuple(replace(s, keep=1) for s in plain.stages)
        ),
    }
    for noise in args.noise:
        torch.manual_seed(1)
        truth = make_truth(args.poses, args.hands, noise)
        print(f"\nlandmark noise {noise:.0%} of the hand, {args.hands} hands")
        for name, settings in rows.items():
            if args.only not in name:
                continue
            fitter = HandFitter(settings=settings)
            began = time.process_time()
            fitted = fitter(truth.keypoints, truth.is_right, truth.intrinsics)
            rate = args.hands / (time.process_time() - began)
            line = measure(truth, fitted)
            print(f"| {name} | " + " | ".join(f"{v:.1f}" for v in line.values()), end="")
            print(f" | {rate:.1f} |")


if __name__ == "__main__":
    main()
