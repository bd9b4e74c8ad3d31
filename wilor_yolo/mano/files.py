"""Read hand models in MANO format: `.npz`, and the licensed `MANO_RIGHT.pkl` without chumpy.

A pickle can run anything, so a MANO `.pkl` is opened by an unpickler that knows the dozen names
such files use and refuses every other one before it is imported.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import WeightsError
from ..skeleton import MANO_PARENTS, NUM_VERTICES
from ..weights_dir import FREE_HAND, shipped

__all__ = ["HandModel", "load_hand_model", "repair_left_shapedirs"]

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
        hands_components: (45, 45) pose directions, a row each.
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
        WeightsError: the file is missing, is not in MANO format, or is a pickle that asks for
            names a MANO file does not use.
    """
    path = shipped(FREE_HAND) if path is None else Path(path)
    if not path.is_file():
        raise WeightsError(f"hand model {path} does not exist; give a MANO .pkl or .npz file.")
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as archive:
                data: dict[str, Any] = {key: archive[key] for key in archive.files}
        except (ValueError, OSError, EOFError) as error:
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


def _from_mano_keys(data: dict[str, Any], path: Path, side: str) -> HandModel:
    try:
        regressor = data["J_regressor"]
        regressor = regressor.toarray() if hasattr(regressor, "toarray") else regressor
        model = HandModel(
            v_template=_array(data["v_template"]),
            faces=np.asarray(data["f"]).astype(np.int64),
            weights=_array(data["weights"]),
            J_regressor=_array(regressor),
            shapedirs=_array(data["shapedirs"])[..., :NUM_BETAS],
            posedirs=_array(data["posedirs"]),
            hands_mean=_array(data["hands_mean"]),
            hands_components=_array(data["hands_components"]),
            side=side,
            wrist_faces=np.asarray(data["f_cap"]).astype(np.int64) if "f_cap" in data else None,
        )
    except KeyError as error:
        raise WeightsError(f"{path} lacks {error}; it is no hand model in MANO format.") from None
    joints = len(MANO_PARENTS)
    expected = {
        "v_template": (NUM_VERTICES, 3),
        "weights": (NUM_VERTICES, joints),
        "J_regressor": (joints, NUM_VERTICES),
        "shapedirs": (NUM_VERTICES, 3, NUM_BETAS),
        "posedirs": (NUM_VERTICES, 3, 9 * (joints - 1)),
    }
    for name, shape in expected.items():
        if getattr(model, name).shape != shape:
            raise WeightsError(
                f"{path}: {name} has shape {getattr(model, name).shape}, a MANO hand has {shape}."
            )
    return model


def _array(value: Any) -> np.ndarray:
    return np.asarray(value, dtype=np.float32)


class _Chumpy:
    """Stands in for chumpy's `Ch` and `Select`: remembers the state and can be read as an array."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if "x" in self.__dict__:
            values = np.asarray(self.x)
        else:  # Select: some entries of another array, by flat index
            values = np.asarray(self.a).ravel()[np.asarray(self.idxs)]
            values = values.reshape(self.preferred_shape)
        return values if dtype is None else values.astype(dtype)


def _allowed(module: str, name: str) -> Any:
    if module.startswith("chumpy") and name in ("Ch", "Select"):
        return _Chumpy
    if module.split(".")[0] == "numpy" and module.endswith(("multiarray", "numeric")):
        from numpy._core import multiarray

        if name in ("_reconstruct", "scalar"):
            return getattr(multiarray, name)
    if module == "numpy" and name in ("ndarray", "dtype"):
        return getattr(np, name)
    if module.startswith("scipy.sparse") and name in ("csc_matrix", "csr_matrix", "coo_matrix"):
        import scipy.sparse

        return getattr(scipy.sparse, name)
    if (module, name) == ("_codecs", "encode"):
        import codecs

        return codecs.encode
    raise WeightsError(
        f"it asks for {module}.{name}, which no MANO file needs; the file was not opened further"
    )


class _ManoUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _allowed(module, name)


def _read_pickle(path: Path) -> dict[str, Any]:
    try:
        data = _ManoUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except WeightsError as error:
        raise WeightsError(f"{path} is not a MANO file: {error}.") from None
    except Exception as error:  # damaged pickles raise anything at all
        raise WeightsError(f"{path} is damaged or no pickle: {error}") from error
    if not isinstance(data, dict):
        raise WeightsError(f"{path} holds a {type(data).__name__}, not a MANO dictionary.")
    return data
