"""What the skin of a bent hand should look like: the target of the pose correctives.

Linear blend skinning averages matrices, so a bent joint loses flesh and its inner skin folds. Here
the bones are blended as dual quaternions (Kavan et al., "Skinning with dual quaternions", I3D
2007) and the skin then relaxes: edges keep their lengths as well as they can (Sorkine and Alexa,
"As-rigid-as-possible surface modeling", SGP 2007) while half of the flesh that plain blending lost
comes back. The other half stays away: in a closed fist fingers and palm press into each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

from wilor_yolo.skeleton import MANO_PARENTS, TIP_VERTICES

__all__ = ["Flesh", "bone_moves", "dual_quaternion_skin", "linear_skin", "volumes"]

_RIGID_WEIGHT = 0.985  # a vertex that so much follows one bone is moved by it alone
_HOLD = 0.3  # pull towards the skinned place, beside edge weights of about one
_HOLD_RIGID = 1e3
_STEPS = 6
_VOLUME_RETURNED = 0.5  # share of the lost flesh


def bone_moves(rotations: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(N,16,3,4) moves of resting points with each bone.

    From rotations (N,16,3,3) relative to the parent bone and the joints (16,3) of the flat hand.
    """
    turn, place = rotations.copy(), np.tile(joints, (len(rotations), 1, 1))
    for j in range(1, 16):
        parent = MANO_PARENTS[j]
        turn[:, j] = turn[:, parent] @ rotations[:, j]
        place[:, j] = place[:, parent] + turn[:, parent] @ (joints[j] - joints[parent])
    shift = place - np.einsum("njab,jb->nja", turn, joints)
    return np.concatenate([turn, shift[..., None]], -1)


def linear_skin(
    vertices: np.ndarray, weights: np.ndarray, moves: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Linear blend skinning: vertices (N,V,3) and the blended linear parts (N,V,3,3)."""
    blended = np.einsum("vj,njab->nvab", weights, moves)
    linear = blended[..., :3]
    return np.einsum("nvab,vb->nva", linear, vertices) + blended[..., 3], linear


def dual_quaternion_skin(
    vertices: np.ndarray, weights: np.ndarray, moves: np.ndarray
) -> np.ndarray:
    """(N,V,3) vertices with the bones blended as unit dual quaternions."""
    count = len(moves)
    real = Rotation.from_matrix(moves[..., :3].reshape(-1, 3, 3)).as_quat().reshape(count, 16, 4)
    for j in range(1, 16):  # the two signs of a quaternion: keep the one near the parent's
        near = np.einsum("nk,nk->n", real[:, j], real[:, MANO_PARENTS[j]])
        real[:, j] *= np.where(near < 0, -1.0, 1.0)[:, None]
    shift = np.concatenate([moves[..., 3], np.zeros((count, 16, 1))], -1)
    dual = 0.5 * _product(shift, real)
    real, dual = np.einsum("vj,njk->nvk", weights, real), np.einsum("vj,njk->nvk", weights, dual)
    length = np.linalg.norm(real, axis=-1, keepdims=True)
    real, dual = real / length, dual / length
    shift = 2 * _product(dual, real * np.array([-1.0, -1.0, -1.0, 1.0]))[..., :3]
    placed = np.tile(vertices, (count, 1, 1)).reshape(-1, 3)
    return Rotation.from_quat(real.reshape(-1, 4)).apply(placed).reshape(shift.shape) + shift


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product of quaternions (...,4), real part last."""
    av, aw, bv, bw = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    real = aw * bw - (av * bv).sum(-1, keepdims=True)
    return np.concatenate([aw * bv + bw * av + np.cross(av, bv), real], -1)


def volumes(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(N,) volumes of closed meshes, vertices (N,V,3), faces (F,3)."""
    a, b, c = (vertices[:, faces[:, k]] for k in range(3))
    return np.einsum("nti,nti->n", a, np.cross(b, c)) / 6


def _volume_gradient(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[:, faces[:, k]] for k in range(3))
    gradient = np.zeros_like(vertices)
    for corner, share in enumerate((np.cross(b, c), np.cross(c, a), np.cross(a, b))):
        for n in range(len(vertices)):
            for axis in range(3):
                gradient[n, :, axis] += np.bincount(
                    faces[:, corner], share[n, :, axis], minlength=vertices.shape[1]
                )
    return gradient / 6


def _edge_weights(vertices: np.ndarray, faces: np.ndarray) -> sp.csr_matrix:
    """Half the cotangents of the angles opposite each edge, symmetric (V,V), kept positive."""
    count = len(vertices)
    total = sp.csr_matrix((count, count))
    for k in range(3):
        i, j, apex = faces[:, k], faces[:, (k + 1) % 3], faces[:, (k + 2) % 3]
        u, v = vertices[i] - vertices[apex], vertices[j] - vertices[apex]
        cotangent = (u * v).sum(1) / np.linalg.norm(np.cross(u, v), axis=1)
        total = total + sp.csr_matrix((cotangent / 2, (i, j)), (count, count))
    total = (total + total.T).tocsr()
    total.data = np.clip(total.data, 0.05, 3.0)
    return total


@dataclass(frozen=True)
class Flesh:
    """The mean hand at rest, metres: template (V,3), joints (16,3), faces (F,3), cap (14,3) that
    closes the wrist, skinning weights (V,16)."""

    template: np.ndarray
    joints: np.ndarray
    faces: np.ndarray
    cap: np.ndarray
    weights: np.ndarray

    @classmethod
    def of_hand(cls, hand: Mapping[str, np.ndarray]) -> Flesh:
        """From the arrays of a built hand file."""
        return cls(
            hand["v_template"].astype(np.float64),
            hand["J"].astype(np.float64),
            hand["f"].astype(np.int64),
            hand["f_cap"].astype(np.int64),
            hand["weights"].astype(np.float64),
        )

    @property
    def closed(self) -> np.ndarray:
        """(F+14,3) faces with the wrist closed."""
        return np.concatenate([self.faces, self.cap])

    @property
    def rigid(self) -> np.ndarray:
        """(V,) bool: vertices of one bone, the wrist's rim and the fingertips' named vertices."""
        rigid = self.weights.max(1) > _RIGID_WEIGHT
        rigid[np.unique(self.cap)] = True
        rigid[list(TIP_VERTICES)] = True
        return rigid

    @property
    def neighbours(self) -> sp.csr_matrix:
        """Sparse (V,V), one where two vertices share an edge."""
        weights = _edge_weights(self.template, self.faces)
        weights.data[:] = 1
        return weights

    def targets(self, moves: np.ndarray, plain: np.ndarray) -> np.ndarray:
        """(N,V,3) relaxed skin of N poses, given by `bone_moves`, with `linear_skin` (N,V,3)."""
        rest = volumes(self.template[None], self.closed)
        lost = rest - volumes(plain, self.closed)
        wanted = rest - (1 - _VOLUME_RETURNED) * lost
        return self._relax(dual_quaternion_skin(self.template, self.weights, moves), wanted)

    def _relax(self, skinned: np.ndarray, volume: np.ndarray) -> np.ndarray:
        """As-rigid-as-possible steps towards edges of their resting lengths and a given volume."""
        rigid, edges = self.rigid, _edge_weights(self.template, self.faces)
        hold = np.where(rigid, _HOLD_RIGID, _HOLD)
        degree = sp.diags(np.asarray(edges.sum(1)).ravel())
        solve = splu((degree - edges + sp.diags(hold)).tocsc()).solve
        i, j = edges.nonzero()
        along = [  # edge weight times each coordinate of the resting edge
            sp.csr_matrix((edges.data * (self.template[i, k] - self.template[j, k]), (i, j)))
            for k in range(3)
        ]
        sums = np.stack([np.asarray(a.sum(1)).ravel() for a in along], -1)  # (V,3)
        # Swelling is strongest where bones share a vertex and fades over two rings.
        mixed = np.where(rigid, 0.0, np.minimum(2 * (1 - self.weights.max(1)), 1.0))
        links = self.neighbours + sp.identity(len(mixed))
        average = sp.diags(1 / np.asarray(links.sum(1)).ravel()) @ links
        swelling = np.where(rigid, 0.0, average @ (average @ mixed))[None, :, None]

        x = skinned
        for _ in range(_STEPS):
            covariance = np.empty((*x.shape, 3))
            for b in range(3):
                covariance[..., b] = x * sums[:, b, None] - _times(along[b], x)
            u, _, vt = np.linalg.svd(covariance)
            u[..., 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
            turns = u @ vt
            wanted = hold[:, None] * skinned
            for b in range(3):
                wanted = wanted + 0.5 * (
                    turns[..., b] * sums[:, b, None] + _times(along[b], turns[..., b])
                )
            x = _solve(solve, wanted)
            gradient = _volume_gradient(x, self.closed)
            outward = swelling * gradient / np.linalg.norm(gradient, axis=-1, keepdims=True)
            for _ in range(2):  # Newton on one number per pose
                slope = (outward * _volume_gradient(x, self.closed)).sum((1, 2))
                x = x + outward * ((volume - volumes(x, self.closed)) / slope)[:, None, None]
        return x


def _columns(values: np.ndarray) -> np.ndarray:
    return values.transpose(1, 0, 2).reshape(values.shape[1], -1)


def _times(matrix: sp.csr_matrix, values: np.ndarray) -> np.ndarray:
    """matrix (V,V) on values (N,V,3)."""
    out = matrix @ _columns(values)
    return out.reshape(values.shape[1], -1, 3).transpose(1, 0, 2)


def _solve(solve: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    out = solve(_columns(values))
    return out.reshape(values.shape[1], -1, 3).transpose(1, 0, 2)
