"""The free hand as a picture needs it: the fine mesh with a forearm, posed.

Ground truth comes from the 778-vertex model; the picture from a render mesh of some 7,000 vertices
of which the model's vertices are a subset, so that both agree to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import WeightsError
from ..skeleton import MANO_TO_OPENPOSE, TIP_VERTICES
from ..weights_dir import weights_dir
from .extra import require
from .raycast import vertex_normals
from .rotations import down_the_tree, rotation_matrices

__all__ = ["FOREARM", "FineHand", "PosedHand"]

FOREARM = 16  # column of the render mesh's skin weights: a bone the 16-joint model has not
_ONE_BONE = 0.985  # skin weight above which no corrective moves a vertex, as in free_hand/flesh.py
_FILES = ("hand_right.npz", "render_right.npz")


@dataclass(frozen=True)
class PosedHand:
    """One posed right hand in its own frame, metres.

    Attributes:
        vertices: (V, 3) of the render mesh.
        model_vertices: (778, 3) of the hand model.
        joints: (21, 3) OpenPose order.
        moves: (17, 3, 4) of points at rest with each bone; row `FOREARM` is the forearm.
        shaped: (V, 3) the flat render mesh of this hand's shape.
        wrist_at_rest: (3,) the wrist of this hand's shape, the centre `global_orient` turns about.
    """

    vertices: np.ndarray
    model_vertices: np.ndarray
    joints: np.ndarray
    moves: np.ndarray
    shaped: np.ndarray
    wrist_at_rest: np.ndarray

    @property
    def forearm_direction(self) -> np.ndarray:
        """(3,) unit vector from the wrist to the elbow."""
        return self.moves[FOREARM, :, :3] @ np.array([1.0, 0, 0])


class FineHand:
    """The free right hand: arrays of the model and of its render mesh.

    Flat-hand frame: fingers along -x, back of the hand +y, thumb +z; the forearm runs to +x.

    Args:
        folder: where hand_right.npz and render_right.npz lie; the shipped ones by default.

    Raises:
        WeightsError: a file is missing.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        folder = weights_dir() / "free_hand" if folder is None else Path(folder)
        for name in _FILES:
            if not (folder / name).is_file():
                raise WeightsError(
                    f"{folder / name} is missing; build it with `python -m wilor_yolo.synth."
                    "free_hand` or give the folder that holds it."
                )
        with np.load(folder / _FILES[0]) as model, np.load(folder / _FILES[1]) as fine:
            self.v_template = model["v_template"].astype(np.float64)
            self.shapedirs = model["shapedirs"].astype(np.float64)
            self.posedirs = model["posedirs"].astype(np.float64)
            self.weights = model["weights"].astype(np.float64)
            self.J_regressor = model["J_regressor"].astype(np.float64)
            self.model_faces = model["f"].astype(np.int32)
            self.fine_template = fine["v_template"].astype(np.float32)
            self.fine_shapedirs = fine["shapedirs"].astype(np.float32)
            self.fine_weights = fine["weights"].astype(np.float32)
            quads, uv = fine["Q"].astype(np.int32), fine["QUV"].astype(np.float32)
            self.control = int(fine["nV"])
            self._middle = fine["md"], fine["mi"], fine["mp"]
            self._model_in_fine = fine["low_ids"].astype(np.int64)
        # Each quad becomes two triangles.
        self.faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        self.face_uv = np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]])

    @cached_property
    def rest_joints(self) -> np.ndarray:
        """(16, 3) joints of the mean flat hand, metres."""
        return self.J_regressor @ self.v_template

    @cached_property
    def rest_normals(self) -> np.ndarray:
        """(V, 3) unit normals of the flat render mesh."""
        return vertex_normals(self.fine_template, self.faces)

    @cached_property
    def spread(self):
        """Sparse (V, control): values at the control vertices to all of the render mesh."""
        sparse = require("scipy.sparse")
        return sparse.csr_matrix(self._middle, shape=(len(self.fine_template), self.control))

    @cached_property
    def smooth(self):
        """Sparse (V, V): one step of averaging over mesh neighbours."""
        sparse = require("scipy.sparse")
        edges = self.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
        edges = np.concatenate([edges, edges[:, ::-1]])
        n = len(self.fine_template)
        links = sparse.csr_matrix((np.ones(len(edges), np.float32), edges.T), shape=(n, n))
        links.data[:] = 1
        links = links + 2 * sparse.identity(n, dtype=np.float32)
        total = np.asarray(links.sum(1)).ravel()
        return (sparse.diags(1 / total) @ links).tocsr().astype(np.float32)

    @cached_property
    def fine_posedirs(self) -> np.ndarray:
        """(V, 3, 135) pose correctives of the render mesh: the model's at the vertices both share
        and the smoothest field (least bilaplacian) in between; zero where one bone alone pulls."""
        sparse, solver = require("scipy.sparse"), require("scipy.sparse.linalg")
        count = len(self.fine_template)
        values = np.zeros((count, 3 * 135))
        values[self._model_in_fine] = self.posedirs.reshape(len(self.posedirs), -1)
        pulls = self.fine_weights[:, :FOREARM].copy()
        pulls[:, 0] += self.fine_weights[:, FOREARM]
        known = pulls.max(1) > _ONE_BONE
        known[self._model_in_fine] = True
        between = np.flatnonzero(~known)
        rough = sparse.identity(count) - self.smooth.astype(np.float64)
        rough = (rough.T @ rough).tocsr()[between]
        used = np.flatnonzero(self.posedirs.any((0, 1)))
        used = (used + 135 * np.arange(3)[:, None]).ravel()
        solve = solver.splu(rough[:, between].tocsc()).solve
        values[np.ix_(between, used)] = solve(-(rough[:, known] @ values[known][:, used]))
        return values.reshape(count, 3, 135).astype(np.float32)

    def posed(
        self, pose: np.ndarray, betas: np.ndarray, forearm: np.ndarray | None = None
    ) -> PosedHand:
        """Pose the hand.

        Args:
            pose: (16, 3) axis-angle, row 0 the whole hand, flat-hand convention.
            betas: (10,).
            forearm: (3,) axis-angle of the forearm relative to the hand; straight when None.
        """
        pose, betas = np.asarray(pose, np.float64), np.asarray(betas, np.float64)
        shaped = self.v_template + self.shapedirs @ betas
        rest = self.J_regressor @ shaped
        rotations = rotation_matrices(pose.reshape(16, 3))
        world, moves = _chain(rotations, rest)
        bones = np.concatenate([moves, moves[:1]])
        swing = np.eye(3) if forearm is None else rotation_matrices(forearm)
        bones[FOREARM, :, :3] = moves[0, :, :3] @ swing
        bones[FOREARM, :, 3] = world[0] - bones[FOREARM, :, :3] @ rest[0]
        fine = flat = self.fine_template + self.fine_shapedirs @ betas.astype(np.float32)
        if np.any(self.posedirs):
            feature = (rotations[1:] - np.eye(3)).reshape(-1)
            shaped = shaped + self.posedirs @ feature
            fine = fine + self.fine_posedirs @ feature.astype(np.float32)
        model_vertices = _skin(shaped, self.weights, moves)
        vertices = _skin(fine, self.fine_weights, bones.astype(np.float32))
        joints = np.concatenate([world, model_vertices[list(TIP_VERTICES)]])
        return PosedHand(
            vertices=vertices,
            model_vertices=model_vertices,
            joints=joints[list(MANO_TO_OPENPOSE)],
            moves=bones,
            shaped=flat,
            wrist_at_rest=rest[0],
        )


def _chain(rotations: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joint positions (16, 3) and moves (16, 3, 4) of points at rest, down the kinematic tree."""
    turn, place = down_the_tree(rotations, rest)
    moves = np.concatenate([turn, (place - np.einsum("jab,jb->ja", turn, rest))[..., None]], 2)
    return place, moves


def _skin(vertices: np.ndarray, weights: np.ndarray, moves: np.ndarray) -> np.ndarray:
    blended = (weights @ moves.reshape(len(moves), 12)).reshape(-1, 3, 4)
    return np.einsum("vab,vb->va", blended[:, :, :3], vertices) + blended[:, :, 3]
