"""Write hands to files that 3D programs and scripts open.

3D files have OpenGL's and glTF's axes: x right, **y up, z towards the viewer**, metres, the camera
at the origin looking along -z (our camera frame turned half round its x axis). Left hands are left
hands, and the faces of both sides are counter-clockwise from outside.

glTF carries one material a hand; OBJ and PLY carry colours at the vertices.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HandError
from ..hands import Hands
from ..render.light import to_linear
from ..render.surface import hole_faces, vertex_normals
from ..skeleton import LEFT, RIGHT, SIDE_COLOURS
from ..whole_files import write_bytes

__all__ = ["FORMATS", "save", "save_glb", "save_json", "save_npz", "save_obj", "save_ply"]

# The camera frame (y down, z forward) to OpenGL's (y up, z backward): a half turn, no mirror.
_TO_OPENGL = np.array([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class _Surface:
    """One hand ready to be written; OpenGL axes, metres."""

    name: str
    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int64
    normals: np.ndarray  # (V, 3) float64, unit
    rgb: tuple[int, int, int]


def save_glb(hands: Hands, path: str | Path, close_wrist: bool = True) -> Path:
    """Write a binary glTF 2.0 scene: a node a hand, named ``hand_0_left``, ``hand_1_right``, ...

    Args:
        hands: reconstructed hands.
        path: the file to write.
        close_wrist: add faces that close the mesh where the forearm would be; no vertex is added,
            so vertex i is vertex i of `Hands.vertices`.

    Returns:
        The path.

    Raises:
        HandError: there is no reconstructed hand.
    """
    import trimesh
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    scene = trimesh.Scene()
    for surface in _surfaces(hands, close_wrist):
        material = PBRMaterial(
            name=surface.name,
            baseColorFactor=[*to_linear(surface.rgb), 1.0],  # glTF wants linear colour here
            metallicFactor=0.0,
            roughnessFactor=0.6,
        )
        mesh = trimesh.Trimesh(
            surface.vertices,
            surface.faces,
            vertex_normals=surface.normals,
            visual=TextureVisuals(material=material),
            process=False,
        )
        scene.add_geometry(mesh, node_name=surface.name, geom_name=surface.name)
    data = scene.export(file_type="glb", include_normals=True)
    return _write(path, data)


def save_obj(hands: Hands, path: str | Path, close_wrist: bool = True) -> Path:
    """Write a Wavefront OBJ: an object a hand, normals, and colours behind the coordinates.

    Arguments and errors are those of :func:`save_glb`.
    """
    lines = ["# wilor_yolo: metres, x right, y up, z towards the viewer"]
    first = 1  # OBJ counts from 1, through all objects
    for surface in _surfaces(hands, close_wrist):
        red, green, blue = (f"{c / 255:.4f}" for c in surface.rgb)
        lines.append(f"o {surface.name}")
        lines += [f"v {x:.7f} {y:.7f} {z:.7f} {red} {green} {blue}" for x, y, z in surface.vertices]
        lines += [f"vn {x:.5f} {y:.5f} {z:.5f}" for x, y, z in surface.normals]
        lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in surface.faces + first]
        first += len(surface.vertices)
    text = "\n".join(lines) + "\n"
    return _write(path, text.encode("ascii"))


def save_ply(hands: Hands, path: str | Path, close_wrist: bool = True) -> Path:
    """Write a binary PLY: one mesh of all hands in their order, with normals and colours.

    Arguments and errors are those of :func:`save_glb`.
    """
    surfaces = _surfaces(hands, close_wrist)
    counts = [len(s.vertices) for s in surfaces]
    vertices = np.zeros(
        sum(counts),
        [(n, "<f4") for n in ("x", "y", "z", "nx", "ny", "nz")]
        + [(n, "u1") for n in ("red", "green", "blue")],
    )
    at = np.concatenate([np.concatenate((s.vertices, s.normals), axis=1) for s in surfaces])
    colours = np.repeat([s.rgb for s in surfaces], counts, axis=0)
    for column, name in enumerate(("x", "y", "z", "nx", "ny", "nz")):
        vertices[name] = at[:, column]
    for column, name in enumerate(("red", "green", "blue")):
        vertices[name] = colours[:, column]
    starts = np.cumsum([0, *counts[:-1]])
    corners = np.concatenate([s.faces + n for s, n in zip(surfaces, starts, strict=True)])
    faces = np.zeros(len(corners), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, corners
    names = vertices.dtype.names or ()
    kinds = {"f": "float", "u": "uchar"}
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment wilor_yolo: metres, x right, y up, z towards the viewer",
        f"element vertex {len(vertices)}",
        *(f"property {kinds[vertices.dtype[n].kind]} {n}" for n in names),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    data = ("\n".join(header) + "\n").encode("ascii") + vertices.tobytes() + faces.tobytes()
    return _write(path, data)


def save_json(hands: Hands, path: str | Path) -> Path:
    """Write everything as JSON (`Hands.to_json`); docs/hands-json.md has the schema."""
    return _write(path, json.dumps(hands.to_dict()).encode())


def save_npz(hands: Hands, path: str | Path) -> Path:
    """Write every array of `Hands` that is there, under its own name and unrounded, as `.npz`."""
    arrays: dict[str, Any] = {}
    for field in fields(hands):
        value = getattr(hands, field.name)
        if value is not None:
            arrays[field.name] = np.asarray(value)
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)
    return _write(path, buffer.getvalue())


FORMATS: dict[str, Callable[[Hands, str | Path], Path]] = {
    ".glb": save_glb,
    ".obj": save_obj,
    ".ply": save_ply,
    ".json": save_json,
    ".npz": save_npz,
}


def save(hands: Hands, path: str | Path) -> Path:
    """Write hands in the format the file name ends with: .glb, .obj, .ply, .json or .npz.

    Raises:
        HandError: another ending, or a 3D format and no reconstructed hand.
    """
    writer = FORMATS.get(Path(path).suffix.lower())
    if writer is None:
        raise HandError(f"cannot write hands to {path}; its name must end in {', '.join(FORMATS)}.")
    return writer(hands, path)


def _surfaces(hands: Hands, close_wrist: bool) -> list[_Surface]:
    if not len(hands) or not hands.reconstructed:
        raise HandError(
            "there is no mesh to write: no hand was found."
            if not len(hands)
            else "these hands have no mesh; run them through HandReconstructor first."
        )
    surfaces = []
    for i, side in enumerate(hands.side):
        vertices = hands.camera_vertices(i).astype(np.float64) * _TO_OPENGL
        skin = np.asarray(hands.faces_of(i), np.int64)
        faces = np.concatenate((skin, hole_faces(skin))) if close_wrist else skin
        surfaces.append(
            _Surface(
                name=f"hand_{i}_{side}",
                vertices=vertices,
                faces=faces,
                normals=vertex_normals(vertices, skin),
                rgb=SIDE_COLOURS[RIGHT if hands.is_right[i] else LEFT],
            )
        )
    return surfaces


def _write(path: str | Path, data: bytes) -> Path:
    try:
        write_bytes(path, data)
    except OSError as error:
        raise HandError(f"cannot write {path}: {error}") from error
    return Path(path)
