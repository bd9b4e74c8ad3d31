"""The body model: a random person in the rest pose, and linear blend skinning.

Body frame: x to the person's left, y to the back, z up, metres. In the rest pose every bone's
rotation is the identity, and poses are given as *world* rotations of bones (frame of the body): a
bone without one moves with its parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..skeleton import LEFT, RIGHT
from ..weights_dir import shipped
from .extra import require

__all__ = [
    "BodyModel",
    "BodyShape",
    "PosedBody",
    "hand_keypoints",
    "load_body",
    "pose_body",
    "sample_shape",
]

njit = require("numba").njit

BODY = "synth/body.npz"
SUFFIX = {LEFT: ".L", RIGHT: ".R"}


@dataclass(frozen=True)
class BodyModel:
    """The shipped body (`weights/synth/body.npz`), widened to float32.

    V vertices, B bones, C shape components, N sampled people.

    Attributes:
        vertices: (V, 3) mean rest shape; heads: (B, 3) mean bone heads.
        vertex_components: (C, V, 3); head_components: (C, B, 3).
        coefficients: (N, C) of the sampled people.
        gender: (N,) 0 man .. 1 woman. age: (N,) anny's scale, 1/3 child, 2/3 young, 1 old.
        african: (N,) 0..1 share, which steers the skin tone.
        faces: (F, 3) int32; group: (F,) index into `groups`.
        bones: names; parents: (B,), -1 for the root.
        bone_index, bone_weight: (V, 4) skin weights.
        tip_vertices: (2, 5) finger tips, thumb to little finger, of the left and right hand.
        lips, nails, ears: (V,) 0..1 masks.
    """

    vertices: np.ndarray
    heads: np.ndarray
    vertex_components: np.ndarray
    head_components: np.ndarray
    coefficients: np.ndarray
    gender: np.ndarray
    age: np.ndarray
    african: np.ndarray
    faces: np.ndarray
    group: np.ndarray
    groups: tuple[str, ...]
    bones: tuple[str, ...]
    parents: np.ndarray
    bone_index: np.ndarray
    bone_weight: np.ndarray
    tip_vertices: np.ndarray
    lips: np.ndarray
    nails: np.ndarray
    ears: np.ndarray

    def bone(self, name: str) -> int:
        """Index of a bone."""
        return self.bones.index(name)

    def group_vertices(self, name: str) -> np.ndarray:
        """Indices of the vertices of one group of faces."""
        return np.unique(self.faces[self.group == self.groups.index(name)])

    def weight_of(self, *prefixes: str) -> np.ndarray:
        """(V,) total weight of the bones whose names start with one of the prefixes."""
        chosen = np.array([name.startswith(prefixes) for name in self.bones])
        return (self.bone_weight * chosen[self.bone_index]).sum(1)


@dataclass(frozen=True)
class BodyShape:
    """One person in the rest pose.

    Attributes:
        vertices: (V, 3), heads: (B, 3), metres.
        gender, age, african: as in :class:`BodyModel`.
    """

    vertices: np.ndarray
    heads: np.ndarray
    gender: float
    age: float
    african: float

    @property
    def is_child(self) -> bool:
        """Clearly not grown up."""
        return self.age < 0.55


@dataclass(frozen=True)
class PosedBody:
    """A posed person: vertices (V, 3), joints (B, 3), bone world rotations (B, 3, 3)."""

    vertices: np.ndarray
    joints: np.ndarray
    rotations: np.ndarray


@lru_cache(maxsize=1)
def load_body() -> BodyModel:
    """The shipped body model, read once per process."""
    with np.load(shipped(BODY)) as data:
        weight = data["bone_weight"].astype(np.float32)
        return BodyModel(
            vertices=data["vertices"],
            heads=data["heads"],
            vertex_components=data["vertex_components"].astype(np.float32),
            head_components=data["head_components"],
            coefficients=data["coefficients"],
            gender=data["ph_gender"],
            age=data["ph_age"],
            african=data["ph_african"],
            faces=data["faces"].astype(np.int32),
            group=data["face_group"],
            groups=tuple(str(name) for name in data["groups"]),
            bones=tuple(str(name) for name in data["bones"]),
            parents=data["parents"],
            bone_index=data["bone_index"],
            bone_weight=weight / weight.sum(1, keepdims=True),
            tip_vertices=data["tip_vertices"],
            lips=data["mask_lips"] / np.float32(255),
            nails=data["mask_fingernails"] / np.float32(255),
            ears=data["mask_ears"] / np.float32(255),
        )


def sample_shape(
    model: BodyModel, rng: np.random.Generator, child: bool | None = None
) -> BodyShape:
    """A random person: one of the sampled people, changed a little.

    Args:
        child: only children, or only grown-ups; either by default.
    """
    pool = np.arange(len(model.age))
    if child is not None:
        pool = np.flatnonzero((model.age < 0.55) == child)
    i = int(pool[rng.integers(len(pool))])
    c = (model.coefficients[i] + rng.normal(0, 0.12, model.coefficients.shape[1])).astype(
        np.float32
    )
    return BodyShape(
        vertices=model.vertices + np.tensordot(c, model.vertex_components, 1),
        heads=model.heads + np.tensordot(c, model.head_components, 1),
        gender=float(model.gender[i]),
        age=float(model.age[i]),
        african=float(model.african[i]),
    )


@njit(cache=True, fastmath=True)
def _skin(vertices, index, weight, matrices, out):
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        a = b = c = 0.0
        for k in range(index.shape[1]):
            w = weight[i, k]
            if w == 0.0:
                continue
            m = matrices[index[i, k]]
            a += w * (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3])
            b += w * (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3])
            c += w * (m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3])
        out[i, 0], out[i, 1], out[i, 2] = a, b, c


def bone_frames(
    model: BodyModel, shape: BodyShape, rotations: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Joint positions (B, 3) and world rotations (B, 3, 3) for the given bones' rotations.

    Args:
        rotations: bone name to (3, 3) world rotation; bones left out follow their parent.
    """
    unknown = set(rotations) - set(model.bones)
    if unknown:
        raise ValueError(f"no such bones: {sorted(unknown)}")
    world = np.empty((len(model.bones), 3, 3))
    joints = np.empty((len(model.bones), 3))
    for i, name in enumerate(model.bones):  # parents come before their children
        parent = int(model.parents[i])
        inherited = np.eye(3) if parent < 0 else world[parent]
        world[i] = rotations.get(name, inherited)
        if parent < 0:
            joints[i] = shape.heads[i]
        else:
            offset = shape.heads[i] - shape.heads[parent]
            joints[i] = joints[parent] + world[parent] @ offset
    return joints, world


def pose_body(model: BodyModel, shape: BodyShape, rotations: dict[str, np.ndarray]) -> PosedBody:
    """Skin a person in a pose (see :func:`bone_frames`)."""
    joints, world = bone_frames(model, shape, rotations)
    matrices = np.empty((len(joints), 3, 4))
    matrices[:, :, :3] = world
    matrices[:, :, 3] = joints - np.einsum("bij,bj->bi", world, shape.heads)
    vertices = np.empty_like(shape.vertices)
    _skin(
        np.ascontiguousarray(shape.vertices, np.float32),
        model.bone_index,
        model.bone_weight,
        matrices.astype(np.float32),
        vertices,
    )
    return PosedBody(vertices, joints, world)


def hand_keypoints(model: BodyModel, body: PosedBody, side: int) -> np.ndarray:
    """(21, 3) joints of one hand in OpenPose order: wrist, thumb to little finger, tips on the
    skin as MANO has them."""
    suffix = SUFFIX[side]
    points = [body.joints[model.bone("wrist" + suffix)]]
    for finger in range(1, 6):
        for k in (1, 2, 3):
            points.append(body.joints[model.bone(f"finger{finger}-{k}{suffix}")])
        points.append(body.vertices[model.tip_vertices[side, finger - 1]])
    return np.array(points)
