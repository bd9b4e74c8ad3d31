"""One step of Catmull-Clark subdivision as a sparse matrix (open boundaries kept).

E. Catmull, J. Clark, "Recursively generated B-spline surfaces on arbitrary topological meshes",
Computer-Aided Design 10(6), 1978; boundary rule of the cubic B-spline curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

__all__ = ["Subdivision", "catmull_clark", "subdivide_corner_values"]


@dataclass(frozen=True)
class Subdivision:
    """smooth (V',V) moves coarse values to the smooth fine mesh; linear (V',V) only interpolates.

    quads (4Q,4): fine faces; fine vertex i < V is the smoothed coarse vertex i, then come one per
    edge and one per face.
    """

    smooth: sp.csr_matrix
    linear: sp.csr_matrix
    quads: np.ndarray


def catmull_clark(quads: np.ndarray, vertex_count: int) -> Subdivision:
    """Build the operators of a quad mesh: quads (Q,4) into `vertex_count` vertices."""
    n, q = vertex_count, len(quads)
    half_edges = np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2)
    edges, edge_of = np.unique(np.sort(half_edges, 1), axis=0, return_inverse=True)
    edge_of = edge_of.reshape(q, 4)
    e = len(edges)
    face_of_corner = np.repeat(np.arange(q), 4)

    face_points = sp.csr_matrix((np.full(4 * q, 0.25), (face_of_corner, quads.ravel())), (q, n))
    midpoints = sp.csr_matrix(
        (np.full(2 * e, 0.5), (np.repeat(np.arange(e), 2), edges.ravel())), (e, n)
    )
    faces_per_edge = np.bincount(edge_of.ravel(), minlength=e)
    boundary = faces_per_edge == 1
    adjacent = sp.csr_matrix(
        (1.0 / faces_per_edge[edge_of.ravel()], (edge_of.ravel(), face_of_corner)), (e, q)
    )
    # Inner edge point: mean of the midpoint and the mean of its two face points.
    edge_points = sp.diags(np.where(boundary, 1.0, 0.5)) @ midpoints + sp.diags(
        np.where(boundary, 0.0, 0.5)
    ) @ (adjacent @ face_points)

    valence = np.maximum(np.bincount(edges.ravel(), minlength=n), 1).astype(float)
    faces_at = np.maximum(np.bincount(quads.ravel(), minlength=n), 1).astype(float)
    corner = sp.csr_matrix((np.ones(4 * q), (quads.ravel(), face_of_corner)), (n, q))
    spoke = sp.csr_matrix((np.ones(2 * e), (edges.ravel(), np.repeat(np.arange(e), 2))), (n, e))
    inner = (
        sp.diags(1 / (valence * faces_at)) @ corner @ face_points
        + sp.diags(2 / valence**2) @ spoke @ midpoints
        + sp.diags((valence - 3) / valence)
    )
    rim_edges = np.flatnonzero(boundary)
    rim_spoke = sp.csr_matrix(
        (np.ones(2 * len(rim_edges)), (edges[rim_edges].ravel(), np.repeat(rim_edges, 2))), (n, e)
    )
    rim = 0.5 * sp.identity(n) + 0.25 * rim_spoke @ midpoints
    on_rim = np.zeros(n)
    on_rim[edges[boundary].ravel()] = 1.0
    vertex_points = sp.diags(1 - on_rim) @ inner + sp.diags(on_rim) @ rim

    fine = np.stack(
        [
            quads,
            n + edge_of,
            np.broadcast_to(n + e + np.arange(q)[:, None], (q, 4)),
            n + np.roll(edge_of, 1, 1),
        ],
        -1,
    ).reshape(-1, 4)
    return Subdivision(
        smooth=sp.vstack([vertex_points, edge_points, face_points]).tocsr(),
        linear=sp.vstack([sp.identity(n), midpoints, face_points]).tocsr(),
        quads=fine,
    )


def subdivide_corner_values(values: np.ndarray) -> np.ndarray:
    """Bilinear per-corner values: (Q,4,C) of the coarse quads to (4Q,4,C) of the fine."""
    following = np.roll(values, -1, 1)
    edge = (values + following) / 2
    centre = np.broadcast_to(values.mean(1, keepdims=True), values.shape)
    fine = np.stack([values, edge, centre, np.roll(edge, 1, 1)], 2)
    return fine.reshape(-1, 4, values.shape[-1])
