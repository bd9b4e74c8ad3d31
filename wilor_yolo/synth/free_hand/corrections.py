"""Pose correctives of the free hand: MANO's `posedirs`, fitted so that bent joints keep flesh.

`python -m wilor_yolo.synth.free_hand.corrections HAND.npz` fits them to a built hand and rewrites
that one array; the build runs the same function. A corrective is linear in R - I of the 15 joints,
so the flat hand has none. A joint moves only vertices that hang on bones on both sides of it (or
lie within two edges of such): nothing far away, no fingertip, no skeleton joint ever moves.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from wilor_yolo.skeleton import MANO_PARENTS
from wilor_yolo.synth.free_hand.flesh import Flesh, bone_moves, linear_skin
from wilor_yolo.synth.free_hand.hand_file import save_npz
from wilor_yolo.synth.poses import NAMED_POSES, sample_pose
from wilor_yolo.synth.rotations import rotation_matrices

__all__ = ["POSE_STEP", "fit_posedirs", "joint_reach", "main", "pose_features"]

POSE_STEP = 2.0**-14  # metres: the correctives are whole multiples, which packs well
_RIDGE = 1e-3  # per pose, in units of R - I squared
_SMALLEST_WEIGHT = 0.02  # a bone that moves a vertex less does not count as near


def pose_features(rotations: np.ndarray) -> np.ndarray:
    """(N,135) entries of R - I of the 15 finger joints of rotations (N,16,3,3)."""
    return (rotations[:, 1:] - np.eye(3)).reshape(len(rotations), 135)


def _ancestors(joint: int) -> set[int]:
    return {joint} if joint == 0 else {joint} | _ancestors(MANO_PARENTS[joint])


def joint_reach(flesh: Flesh) -> np.ndarray:
    """(V,16) bool: joints that turn the bones near a vertex against each other."""
    links = flesh.neighbours + sp.identity(len(flesh.template))
    near = (links @ (links @ (flesh.weights > _SMALLEST_WEIGHT))) > 0
    reach = np.zeros(near.shape, bool)
    for vertex in np.flatnonzero(~flesh.rigid):
        chains = [_ancestors(int(bone)) for bone in np.flatnonzero(near[vertex])]
        above_all = chains[0].intersection(*chains[1:])
        reach[vertex, list(chains[0].union(*chains[1:]) - above_all)] = True
    return reach


def fit_posedirs(flesh: Flesh, count: int = 300, seed: int = 0) -> np.ndarray:
    """(V,3,135) float16 correctives, metres, by ridge regression.

    The poses: the named ones and `count` random ones drawn with `seed`.
    """
    rng = np.random.default_rng(seed)
    poses = list(NAMED_POSES.values()) + [sample_pose(rng) for _ in range(count)]
    rotations = rotation_matrices(np.stack(poses))
    moves = bone_moves(rotations, flesh.joints)
    plain, linear = linear_skin(flesh.template, flesh.weights, moves)
    # Correctives are added before skinning: turn what is missing back to the flat hand.
    missing = np.linalg.solve(linear, (flesh.targets(moves, plain) - plain)[..., None])[..., 0]

    features, reach = pose_features(rotations), joint_reach(flesh)
    posedirs = np.zeros((len(flesh.template), 3, 135))
    for joint_set in np.unique(reach, axis=0):
        columns = np.flatnonzero(np.repeat(joint_set[1:], 9))
        if len(columns) == 0:
            continue
        x, vertices = features[:, columns], np.flatnonzero((reach == joint_set).all(1))
        y = missing[:, vertices].reshape(len(x), -1)
        ridge = _RIDGE * len(x) * np.eye(len(columns))
        fitted = np.linalg.solve(x.T @ x + ridge, x.T @ y).reshape(len(columns), -1, 3)
        posedirs[np.ix_(vertices, np.arange(3), columns)] = fitted.transpose(1, 2, 0)
    # Adding zero turns -0 into +0.
    return (np.round(posedirs / POSE_STEP) * POSE_STEP + 0.0).astype(np.float16)


def main(arguments: list[str] | None = None) -> None:
    """Fit the correctives of a built hand file and write them into it."""
    parser = argparse.ArgumentParser(prog="python -m wilor_yolo.synth.free_hand.corrections")
    parser.add_argument("hand", type=Path, help="hand_right.npz, rewritten in place")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    with np.load(given.hand, allow_pickle=False) as data:
        hand = {key: data[key] for key in data.files}
    hand["posedirs"] = fit_posedirs(Flesh.of_hand(hand), seed=given.seed)
    save_npz(given.hand, hand)
    print(f"{np.count_nonzero(hand['posedirs'])} numbers, {given.hand.stat().st_size} bytes")


if __name__ == "__main__":
    main()
