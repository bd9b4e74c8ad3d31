"""Which renderer draws hands right, and fast, on a CPU without a display?

Two hands of the shipped model in a 640 x 480 picture, looked at in 2 x 2 samples a pixel. For each
candidate: CPU milliseconds to find the triangle every sample sees, and the share of samples where
it names another surface (hand, or nothing) or another depth (by more than 0.5 mm) than casting the
same rays through every triangle in double precision.

    OMP_NUM_THREADS=1 python benchmarks/render.py

`embreex` and `numba` (extra `synth`) are measured when they are installed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from wilor_yolo.geometry import default_intrinsics
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.render.rasterise import Triangles, Visible, join_meshes, visible_faces
from wilor_yolo.render.shade import draw_meshes
from wilor_yolo.render.surface import hole_faces

SIZE = (640, 480)
SAMPLES = 2
REPEATS = 15
CHECKED = 4000  # samples cast the slow way
SAME_DEPTH = 5e-4  # metres


@dataclass(frozen=True)
class Scene:
    name: str
    meshes: list[np.ndarray]
    faces: list[np.ndarray]
    intrinsics: np.ndarray

    @property
    def fine(self) -> np.ndarray:
        """K of the picture of samples: sample i of pixel x is at x + (i + 0.5) / s - 0.5."""
        shift = (SAMPLES - 1) / 2
        up = np.array([[SAMPLES, 0, shift], [0, SAMPLES, shift], [0, 0, 1.0]])
        return up @ self.intrinsics


def scenes() -> list[Scene]:
    model = load_hand_model()
    hand = model.v_template - model.v_template.mean(0)
    faces = np.concatenate([model.faces, hole_faces(model.faces)])
    turned = faces[:, [0, 2, 1]]

    def posed(roll: float, yaw: float, place: list[float], mirror: bool) -> np.ndarray:
        vertices = hand * [-1 if mirror else 1, 1, 1]
        for axis, angle in (([1, 0, 0], -90), ([0, 0, 1], roll), ([0, 1, 0], yaw)):
            rotation = cv2.Rodrigues(np.deg2rad(angle) * np.array(axis, float))[0]
            vertices = vertices @ rotation.T
        return vertices + place

    def scene(name: str, *hands: tuple[float, float, list[float], bool]) -> Scene:
        meshes = [posed(*each) for each in hands]
        sides = [turned if each[3] else faces for each in hands]
        return Scene(name, meshes, sides, default_intrinsics(*SIZE).astype(float))

    return [
        scene("apart", (80, 0, [-0.12, 0, 0.55], False), (-80, 0, [0.12, 0, 0.55], True)),
        scene(
            "one behind the other", (75, 0, [-0.04, 0, 0.5], False), (-60, 0, [0.04, 0, 0.56], True)
        ),
        scene("interlocked", (75, 35, [-0.03, 0, 0.5], False), (-75, -35, [0.03, 0, 0.5], True)),
    ]


def rasterise_numpy(scene: Scene, hide_backs: bool) -> Visible:
    triangles = join_meshes(scene.meshes, scene.faces)
    return visible_faces(triangles, scene.intrinsics, SIZE, samples=SAMPLES, hide_backs=hide_backs)


def as_picture(found: Visible | np.ndarray) -> np.ndarray:
    """Triangle of each sample, -1 for none, from interleaved planes."""
    if isinstance(found, np.ndarray):
        return found
    planes = np.where(found.keys != 0, found.triangle(found.keys), -1)
    width, height = SIZE
    planes = planes.reshape(SAMPLES, SAMPLES, height, width).transpose(2, 0, 3, 1)
    return planes.reshape(height * SAMPLES, width * SAMPLES)


def paint_opencv(scene: Scene) -> np.ndarray:
    """Far triangles first, each filled by OpenCV: no depth inside a triangle."""
    triangles = join_meshes(scene.meshes, scene.faces)
    points = triangles.corners @ scene.fine.T
    points = np.rint(points[..., :2] / points[..., 2:] * 16).astype(np.int32)
    picture = np.full((SIZE[1] * SAMPLES, SIZE[0] * SAMPLES), -1, np.int32)
    for i in np.argsort(-triangles.corners[..., 2].mean(1)):
        cv2.fillConvexPoly(picture, points[i], int(i), cv2.LINE_8, 4)
    return picture


def embree() -> Callable[[Scene], np.ndarray] | None:
    try:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene
    except ImportError:
        return None

    def cast(scene: Scene) -> np.ndarray:
        triangles = join_meshes(scene.meshes, scene.faces)
        embree_scene = EmbreeScene()
        TriangleMesh(embree_scene, triangles.corners.astype(np.float32))
        points = triangles.corners.reshape(-1, 3) @ scene.fine.T
        points = points[:, :2] / points[:, 2:]
        width, height = SIZE[0] * SAMPLES, SIZE[1] * SAMPLES
        left, top = np.clip(np.floor(points.min(0)).astype(int), 0, (width, height))
        right, bottom = np.clip(np.ceil(points.max(0)).astype(int) + 1, 0, (width, height))
        y, x = np.mgrid[top:bottom, left:right]
        rays = np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3) @ np.linalg.inv(scene.fine).T
        rays = np.ascontiguousarray(rays, np.float32)
        picture = np.full((height, width), -1, np.int32)
        hits = embree_scene.run(np.zeros_like(rays), rays)
        picture[top:bottom, left:right] = hits.reshape(x.shape)
        return picture

    return cast


def numba_buffer() -> Callable[[Scene], np.ndarray] | None:
    try:
        from numba import njit
    except ImportError:
        return None

    @njit
    def fill(points, inverse_depth, width, height):  # type: ignore[no-untyped-def]
        nearest = np.zeros((height, width))
        picture = np.full((height, width), -1, np.int32)
        for t in range(len(points)):
            (ax, ay), (bx, by), (cx, cy) = points[t]
            area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
            if abs(area) < 1e-9:
                continue
            for y in range(
                max(0, int(np.ceil(min(ay, by, cy)))),
                min(height - 1, int(np.floor(max(ay, by, cy)))) + 1,
            ):
                for x in range(
                    max(0, int(np.ceil(min(ax, bx, cx)))),
                    min(width - 1, int(np.floor(max(ax, bx, cx)))) + 1,
                ):
                    u = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
                    v = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
                    w = 1 - u - v
                    if u < 0 or v < 0 or w < 0:
                        continue
                    z = u * inverse_depth[t, 0] + v * inverse_depth[t, 1] + w * inverse_depth[t, 2]
                    if z > nearest[y, x]:
                        nearest[y, x] = z
                        picture[y, x] = t
        return picture

    def run(scene: Scene) -> np.ndarray:
        triangles = join_meshes(scene.meshes, scene.faces)
        points = triangles.corners @ scene.fine.T
        return fill(
            points[..., :2] / points[..., 2:],
            1 / triangles.corners[..., 2],
            SIZE[0] * SAMPLES,
            SIZE[1] * SAMPLES,
        )

    return run


def wrong_share(scene: Scene, found: np.ndarray) -> float:
    """Share of random samples near the hands whose surface or depth is not that of slow casting."""
    triangles = join_meshes(scene.meshes, scene.faces)
    rng = np.random.default_rng(0)
    rows, columns = np.nonzero(cv2.dilate((found >= 0).astype(np.uint8), np.ones((9, 9))))
    chosen = rng.choice(len(rows), CHECKED, replace=False)
    y, x = rows[chosen], columns[chosen]
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(scene.fine).T
    depth, mesh = _cast_slowly(triangles, rays)
    named = found[y, x]
    theirs = np.where(named >= 0, triangles.mesh[named], -1)
    weights = np.einsum("ni,nji->nj", rays, triangles.planes(np.maximum(named, 0), np.eye(3)))
    their_depth = np.where(named >= 0, 1 / weights.sum(-1), np.inf)
    with np.errstate(invalid="ignore"):
        apart = np.abs(their_depth - depth) > SAME_DEPTH
    return float(((theirs != mesh) | ((mesh >= 0) & apart)).mean())


def _cast_slowly(triangles: Triangles, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    planes = triangles.planes(np.arange(len(triangles.mesh)), np.eye(3))
    depth = np.full(len(rays), np.inf)
    mesh = np.full(len(rays), -1)
    for at in range(0, len(rays), 100):
        weights = np.einsum("ni,tji->ntj", rays[at : at + 100], planes)
        inside = (weights >= 0).all(-1)
        inverse = np.where(inside, weights.sum(-1), 0)
        best = inverse.argmax(1)
        hit = inverse.max(1) > 0
        depth[at : at + 100][hit] = 1 / inverse.max(1)[hit]
        mesh[at : at + 100][hit] = triangles.mesh[best[hit]]
    return depth, mesh


def milliseconds(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times))


def main() -> None:
    candidates: dict[str, Callable[[Scene], Visible | np.ndarray] | None] = {
        "numpy spans, all faces": lambda s: rasterise_numpy(s, hide_backs=False),
        "numpy spans, front faces": lambda s: rasterise_numpy(s, hide_backs=True),
        "OpenCV painter": paint_opencv,
        "embreex ray casting": embree(),
        "numba z-buffer": numba_buffer(),
    }
    print(f"python {sys.version.split()[0]}, numpy {np.__version__}, OpenCV {cv2.__version__}")
    for scene in scenes():
        print(f"\n{scene.name}")
        for name, run in candidates.items():
            if run is None:
                print(f"  {name:26s} not installed")
                continue
            cpu = milliseconds(partial(run, scene))
            wrong = wrong_share(scene, as_picture(run(scene)))
            print(f"  {name:26s} {cpu:7.1f} ms   {100 * wrong:6.2f} % wrong")
        image = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
        colours = [(245, 147, 66), (66, 135, 245)]
        draw = partial(draw_meshes, image, scene.meshes, scene.faces, scene.intrinsics, colours)
        print(f"  {'draw_meshes, with light':26s} {milliseconds(draw):7.1f} ms")


if __name__ == "__main__":
    main()
