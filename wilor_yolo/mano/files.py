"""Read hand models in MANO format: `.npz`, and the licensed `MANO_RIGHT.pkl` without chumpy.

A pickle can run anything, so a MANO `.pkl` goes through :mod:`wilor_yolo.unpickle`, which knows the
dozen names such files use, runs none of them and refuses every other one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import NPZ_ERRORS, WeightsError
from ..skeleton import MANO_PARENTS, NUM_VERTICES
from ..unpickle import NUMPY_NAMES, Name, PickledArray, Record, SparseColumns, read_pickle
from ..weights_dir import FREE_HAND, shipped

__all__ = ["HandModel", "check_hand_model", "load_hand_model", "repair_left_shapedirs"]

NUM_BETAS = 10


@dataclass(frozen=True)
class HandModel:
    """A hand in MANO format; metres, flat hand.

    Attributes:
        v_template: (778, 3) mean vertices.
        faces: (1538, 3) int, counter-clockwise from outside.
        weights: (778, 16) skinning weights.
        J_regressor: (16, 778) joints from vertices.
        shapedirs: (778, 3, 10) shape directions of unit variance.
        posedirs: (778, 3, 135) pose correctives.
        hands_mean: (45,) mean finger pose, axis-angle.
        hands_components: (45, 45) pose directions, a row each; a checkpoint keeps the first few.
        side: ``"left"`` or ``"right"``.
        wrist_faces: (14, 3) faces that close the wrist, or None if the file names none.
    """

    v_template: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    J_regressor: np.ndarray
    shapedirs: np.ndarray
    posedirs: np.ndarray
    hands_mean: np.ndarray
    hands_components: np.ndarray
    side: str = "right"
    wrist_faces: np.ndarray | None = None


def load_hand_model(path: str | Path | None = None, side: str = "right") -> HandModel:
    """Read a hand model.

    Args:
        path: a `.npz` or `.pkl` in MANO format; None for the free hand that ships with us.
        side: the side the file describes.

    Returns:
        The model; a left model whose x shape directions carry the known sign fault of
        `MANO_LEFT.pkl` is repaired only by :func:`repair_left_shapedirs`, which needs both sides.

    Raises:
        WeightsError: the file is missing, is not in MANO format, is a pickle that asks for names
            a MANO file does not use, or is called after the other side.
    """
    path = shipped(FREE_HAND) if path is None else Path(path)
    other = "left" if side == "right" else "right"
    if path.stem.upper().endswith(other.upper()):  # nothing inside a MANO file tells its side
        raise WeightsError(f"{path} is called a {other} hand; give the {side} one.")
    if not path.is_file():
        raise WeightsError(f"hand model {path} does not exist; give a MANO .pkl or .npz file.")
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as archive:
                data: dict[str, Any] = {key: archive[key] for key in archive.files}
        except NPZ_ERRORS as error:
            raise WeightsError(f"{path} is not a readable .npz hand model: {error}") from error
    else:
        data = _read_pickle(path)
    return _from_mano_keys(data, path, side)


def repair_left_shapedirs(left: HandModel, right: HandModel) -> HandModel:
    """Turn the x shape directions of a left MANO model that still has them as the right one's.

    The published `MANO_LEFT.pkl` carries the right hand's x directions un-mirrored. The test is
    the one InterHand2.6M's tools use: the two agree although they should be opposite.
    """
    if np.abs(left.shapedirs[:, 0] - right.shapedirs[:, 0]).sum() >= 1:
        return left
    repaired = left.shapedirs.copy()
    repaired[:, 0] *= -1
    return replace(left, shapedirs=repaired)


_MANO_KEYS = (
    "v_template",
    "f",
    "weights",
    "J_regressor",
    "shapedirs",
    "posedirs",
    "hands_mean",
    "hands_components",
)


def _from_mano_keys(data: dict[str, Any], path: Path, side: str) -> HandModel:
    missing = [key for key in _MANO_KEYS if key not in data]
    if missing:
        raise WeightsError(
            f"{path} lacks {', '.join(missing)}; it is no hand model in MANO format."
        )
    try:
        model = HandModel(
            v_template=_array(data["v_template"]),
            faces=np.asarray(data["f"]).astype(np.int64),
            weights=_array(data["weights"]),
            J_regressor=_array(data["J_regressor"]),
            shapedirs=_array(data["shapedirs"])[..., :NUM_BETAS],
            posedirs=_array(data["posedirs"]),
            hands_mean=_array(data["hands_mean"]),
            hands_components=_array(data["hands_components"]),
            side=side,
            wrist_faces=np.asarray(data["f_cap"]).astype(np.int64) if "f_cap" in data else None,
        )
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{path} holds something else than numbers: {error}") from None
    check_hand_model(model, path)
    return model


def check_hand_model(model: HandModel, source: str | Path) -> None:
    """Raise unless every array has MANO's shape and is finite.

    Raises:
        WeightsError: naming `source` and the array.
    """
    joints = len(MANO_PARENTS)
    expected = {
        "v_template": (NUM_VERTICES, 3),
        "weights": (NUM_VERTICES, joints),
        "J_regressor": (joints, NUM_VERTICES),
        "shapedirs": (NUM_VERTICES, 3, NUM_BETAS),
        "posedirs": (NUM_VERTICES, 3, 9 * (joints - 1)),
        "hands_mean": (3 * (joints - 1),),
    }
    for name, shape in expected.items():
        if getattr(model, name).shape != shape:
            raise WeightsError(
                f"{source}: {name} has shape {getattr(model, name).shape}, a MANO hand has {shape}."
            )
        if not np.isfinite(getattr(model, name)).all():
            raise WeightsError(f"{source}: {name} holds numbers that are not finite.")
    faces = model.faces
    if faces.ndim != 2 or faces.shape[1] != 3 or not 0 <= faces.min() <= faces.max() < NUM_VERTICES:
        raise WeightsError(f"{source}: its faces are no triangles of {NUM_VERTICES} vertices.")


def _array(value: Any) -> np.ndarray:
    return np.asarray(value, dtype=np.float32)


class _Chumpy(Record):
    """chumpy's `Ch`, an array, and `Select`, entries of another array by flat index."""

    def numpy(self) -> np.ndarray:
        if isinstance(self.state, dict) and "x" in self.state:
            return _plain(self.state["x"])
        source, indices = _plain(self.attribute("a")), _plain(self.attribute("idxs"))
        if indices.dtype.kind not in "iu" or (
            indices.size and not 0 <= indices.min() <= indices.max() < source.size
        ):
            raise WeightsError("a Select in it points outside its array")
        try:
            return source.ravel()[indices].reshape(self.attribute("preferred_shape"))
        except (TypeError, ValueError):
            raise WeightsError("a Select in it does not fit its shape") from None


_MANO_NAMES: dict[Name, type] = {
    **NUMPY_NAMES,
    ("chumpy.ch", "Ch"): _Chumpy,
    ("chumpy", "Ch"): _Chumpy,
    ("chumpy.reordering", "Select"): _Chumpy,
    ("scipy.sparse.csc", "csc_matrix"): SparseColumns,
    ("scipy.sparse._csc", "csc_matrix"): SparseColumns,
}


def _plain(value: Any) -> Any:
    """An array for a record of one; anything else as it is."""
    if isinstance(value, (PickledArray, SparseColumns, _Chumpy)):
        return value.numpy()
    return value


def _read_pickle(path: Path) -> dict[str, Any]:
    try:
        data = read_pickle(path.read_bytes(), _MANO_NAMES, inert=("chumpy",))
        if not isinstance(data, dict):
            raise WeightsError(f"it holds a {type(data).__name__} and no dictionary")
        return {name: _plain(data[name]) for name in _MANO_KEYS if name in data}
    except WeightsError as error:
        raise WeightsError(f"{path} is not a MANO file: {error}.") from None
    except (TypeError, ValueError, RecursionError) as error:  # nonsense inside known records
        raise WeightsError(f"{path} is not a MANO file: it is damaged: {error}.") from None
