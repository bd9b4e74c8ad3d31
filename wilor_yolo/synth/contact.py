"""Bring two meshes together until they touch."""

from __future__ import annotations

import numpy as np

from .raycast import RayScene

__all__ = ["travel_until_touch"]


def travel_until_touch(
    moving: tuple[np.ndarray, np.ndarray],
    standing: tuple[np.ndarray, np.ndarray],
    direction: np.ndarray,
) -> float | None:
    """How far the moving mesh may go along `direction` before it meets the standing one.

    Rays run from the vertices of each mesh to the other, so thin things may pass between the
    vertices by their spacing.

    Args:
        moving, standing: (vertices (V, 3) metres, faces (F, 3)), not yet touching.
        direction: (3,) unit vector.

    Returns:
        Metres, or None when they miss each other.
    """
    best = np.inf
    for mesh, others, way in ((standing, moving[0], direction), (moving, standing[0], -direction)):
        hits = RayScene(*mesh).nearest(others, np.broadcast_to(way, others.shape))
        met = hits.face >= 0
        if met.any():
            best = min(best, float(hits.distance[met].min()))
    return None if np.isinf(best) else best
