"""Do the free hand's pose correctives beat none? Poses held out from the fit, and a picture.

Per pose, with `posedirs` set to zero and as shipped: volume over that of the flat hand; triangles
that another part of the skin cuts through; spread of edge lengths, log of length over resting
length, where bones share the skin; its first percentile (how much the worst folds are squeezed);
the share of triangles there whose smallest angle is under 10 degrees; how far the correctives
move vertices.

    OMP_NUM_THREADS=1 python benchmarks/hand_corrections.py [picture=out.jpg]
"""

from __future__ import annotations

import sys
from dataclasses import replace

import cv2
import numpy as np
import torch

from wilor_yolo.mano.files import HandModel, load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.render.shade import draw_meshes
from wilor_yolo.synth.hand_mesh import FineHand
from wilor_yolo.synth.poses import NAMED_POSES, sample_pose
from wilor_yolo.synth.rotations import rotation_matrices

SEED, COUNT = 77, 200  # the fit uses seed 0
NAMED = ("fist", "thumbs_up", "three", "pinch", "key_pinch", "tabletop")
SHARED = 0.97  # a vertex that follows one bone by more is left out of the edge figures
NARROW = 10.0  # degrees
# Named poses of the picture; from fingers up and palm ahead, the turn about the upright axis and
# the tilt towards the camera, degrees.
SHOWN = {"fist": (15, 15), "three": (30, 0), "pinch": (110, 10)}
PALM_VIEW = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
TILE, FOCAL = 320, 5.0  # px; focal length in tiles
COLOUR = (222, 184, 160)
CLOSE_UP = 0.06  # the picture shows the flat hand up to this x, metres


def edges_of(faces: np.ndarray) -> np.ndarray:
    pairs = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    return np.unique(np.sort(pairs, 1), axis=0)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float(np.einsum("ti,ti->", a, np.cross(b, c)) / 6)


def lengths(vertices: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)


def smallest_angles(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) degrees."""
    found = []
    for k in range(3):
        a, b, c = (vertices[faces[:, (k + step) % 3]] for step in range(3))
        u, v = b - a, c - a
        found.append(np.arctan2(np.linalg.norm(np.cross(u, v), axis=1), (u * v).sum(1)))
    return np.degrees(np.min(found, 0))


def cut_triangles(vertices: np.ndarray, faces: np.ndarray, edges: np.ndarray) -> int:
    """Triangles that an edge without a common vertex passes through (Moeller and Trumbore)."""
    ends, corners = vertices[edges], vertices[faces]
    near = np.ones((len(edges), len(faces)), bool)
    for k in range(3):
        near &= ends[:, :, k].min(1)[:, None] <= corners[:, :, k].max(1)
        near &= ends[:, :, k].max(1)[:, None] >= corners[:, :, k].min(1)
    e, t = np.nonzero(near)
    apart = ~(edges[e][:, :, None] == faces[t][:, None, :]).any((1, 2))
    e, t = e[apart], t[apart]
    start, along = ends[e, 0], ends[e, 1] - ends[e, 0]
    first, second = corners[t, 1] - corners[t, 0], corners[t, 2] - corners[t, 0]
    across, offset = np.cross(along, second), start - corners[t, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 / (first * across).sum(1)
        turned = np.cross(offset, first)
        u, v = (offset * across).sum(1) * scale, (along * turned).sum(1) * scale
        at = (second * turned).sum(1) * scale
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (at >= 0) & (at <= 1)
    return len(np.unique(t[hit]))


def posed(model: HandModel, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N,778,3) and joints (N,21,3) of poses (N,16,3)."""
    turns = torch.tensor(rotation_matrices(poses), dtype=torch.float32)
    with torch.no_grad():
        mesh = HandLayer(model)(turns[:, 0], turns[:, 1:], torch.zeros(len(poses), 10))
    return mesh.vertices.double().numpy(), mesh.joints.double().numpy()


def figures(model: HandModel, vertices: np.ndarray) -> np.ndarray:
    """(N,5) figures of each pose, in the order of the table."""
    faces, edges = model.faces, edges_of(model.faces)
    closed = np.concatenate([faces, model.wrist_faces])
    shared = model.weights.max(1) < SHARED
    bent, rest = shared[edges].any(1), model.v_template.astype(float)
    joint_faces = faces[shared[faces].any(1)]
    rows = []
    for v in vertices:
        stretch = np.log(lengths(v, edges) / lengths(rest, edges))[bent]
        rows.append(
            (
                100 * volume(v, closed) / volume(rest, closed),
                cut_triangles(v, faces, edges),
                stretch.std(),
                np.exp(np.percentile(stretch, 1)),
                100 * (smallest_angles(v, joint_faces) < NARROW).mean(),
            )
        )
    return np.array(rows)


def picture() -> np.ndarray:
    """One row per shown pose, zero posedirs left, the shipped ones right; the render mesh."""
    plain, fitted = FineHand(), FineHand()
    plain.posedirs = np.zeros_like(plain.posedirs)
    camera = np.array([[FOCAL * TILE, 0, TILE / 2], [0, FOCAL * TILE, TILE / 2], [0, 0, 1]])
    close = fitted.fine_template[:, 0] < CLOSE_UP
    rows = []
    for name, degrees in SHOWN.items():
        turn, tilt = np.radians(degrees)
        view = rotation_matrices(np.array([0, turn, 0])) @ PALM_VIEW
        view = rotation_matrices(np.array([tilt, 0, 0])) @ view
        tiles = []
        for hand in (plain, fitted):
            vertices = hand.posed(NAMED_POSES[name], np.zeros(10)).vertices @ view.T
            seen = vertices[close]
            middle, far = (seen.min(0) + seen.max(0)) / 2, FOCAL * np.ptp(seen, axis=0)[:2].max()
            tile = np.full((TILE, TILE, 3), 255, np.uint8)
            placed = vertices - middle + [0, 0, 1.1 * far]
            draw_meshes(tile, [placed], hand.faces, camera, [COLOUR], close_holes=False)
            tiles.append(tile)
        rows.append(np.concatenate(tiles, 1))
    return np.concatenate(rows, 0)


def main(arguments: list[str]) -> None:
    shipped = load_hand_model()
    plain = replace(shipped, posedirs=np.zeros_like(shipped.posedirs))
    rng = np.random.default_rng(SEED)
    sets = {f"{COUNT} random": np.stack([sample_pose(rng) for _ in range(COUNT)])}
    sets |= {name: NAMED_POSES[name][None] for name in NAMED}
    print("| poses | posedirs | volume % | cut triangles | edge spread | squeezed to | narrow % |")
    print("|---|---|---|---|---|---|---|")
    for name, poses in sets.items():
        for label, model in (("zero", plain), ("fitted", shipped)):
            vertices, _ = posed(model, poses)
            row = zip(figures(model, vertices).mean(0), (1, 1, 3, 2, 1), strict=True)
            print(f"| {name} | {label} |", *(f"{value:.{n}f} |" for value, n in row))
    before, after = (posed(m, next(iter(sets.values()))) for m in (plain, shipped))
    moved = 1e3 * np.linalg.norm(after[0] - before[0], axis=2)
    print(
        f"moved: {moved.mean():.2f} mm mean, {np.percentile(moved, 95):.2f} at the 95th percentile,"
        f" {moved.max():.1f} most; joints, tips: {1e3 * np.abs(after[1] - before[1]).max():.4f} mm"
    )
    for argument in arguments:
        path = argument.removeprefix("picture=")
        cv2.imwrite(path, picture(), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main(sys.argv[1:])
