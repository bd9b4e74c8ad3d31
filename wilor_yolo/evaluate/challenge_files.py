"""Files of the FreiHAND and HO3D challenges: truth and predictions.

`evaluation_xyz.json` and `evaluation_verts.json` are lists of N lists of points; `pred.json` is
the two lists in one, joints first, and is handed in zipped. They reach a gigabyte: they are read
and written hand by hand.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import HandError
from ..whole_files import replacing

__all__ = ["prediction_file", "read_points", "read_predictions", "write_predictions"]

_DECIMALS = 6  # a micrometre
_DECODER = json.JSONDecoder()


def read_points(path: str | Path) -> np.ndarray:
    """(N, K, 3) metres of a truth file.

    Raises:
        HandError: missing, damaged, or of another layout; the message names file and sample.
    """
    path = Path(path)
    text = _text(path)
    values, _ = _list_of_points(text, _skip(text, 0), str(path))
    return values


def prediction_file(path: str | Path) -> Path:
    """The file that is meant by the path of predictions, which may be their folder."""
    path = Path(path)
    return path / "pred.json" if path.is_dir() else path


def read_predictions(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Anybody's predictions.

    Args:
        path: `pred.json`, a zip that holds it (or one JSON of another name), or its folder.

    Returns:
        Joints (N, 21, 3) and vertices (N, V, 3), metres, in the order and axes of the file.

    Raises:
        HandError: missing, damaged, or of another layout; the message names file and sample.
    """
    path = prediction_file(path)
    text = _text(path)
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        raise HandError(f"{path} is no list of joints and vertices.")
    joints, position = _list_of_points(text, _skip(text, position + 1), f"{path} joints")
    position = _skip(text, position)
    if text[position : position + 1] != ",":
        raise HandError(f"{path} holds one list; predictions are two: joints and vertices.")
    vertices, _ = _list_of_points(text, _skip(text, position + 1), f"{path} vertices")
    if len(joints) != len(vertices) or joints.shape[1:] != (21, 3):
        raise HandError(
            f"{path}: joints {joints.shape} and vertices {vertices.shape} should be (N, 21, 3) "
            "and (N, V, 3)."
        )
    return joints, vertices


def write_predictions(folder: str | Path, joints: np.ndarray, vertices: np.ndarray) -> Path:
    """Write `pred.json` and `pred.zip` (what the challenges take); returns the zip's path.

    Args:
        folder: an existing folder.
        joints, vertices: (N, 21, 3) and (N, V, 3), metres, in the challenge's order and axes.
    """
    folder = Path(folder)
    plain, packed = folder / "pred.json", folder / "pred.zip"
    with replacing(plain) as temporary, open(temporary, "w", encoding="ascii") as file:
        file.write("[")
        for number, points in enumerate((joints, vertices)):
            file.write("[" if number == 0 else ", [")
            for i, hand in enumerate(points):
                file.write(", " if i else "")
                json.dump(np.round(hand.astype(np.float64), _DECIMALS).tolist(), file)
            file.write("]")
        file.write("]")
    with (
        replacing(packed) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        archive.write(plain, plain.name)
    return packed


def _text(path: Path) -> str:
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                names = [n for n in archive.namelist() if n.endswith(".json")]
                chosen = [n for n in names if Path(n).name == "pred.json"] or names
                if len(chosen) != 1:
                    raise HandError(f"{path} holds {len(names)} JSON files; it should hold one.")
                return archive.read(chosen[0]).decode()
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HandError(f"{path} does not exist; check the path.") from None
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise HandError(f"{path} is damaged ({error}).") from None


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _list_of_points(text: str, position: int, where: str) -> tuple[np.ndarray, int]:
    """The list of point lists at a position, and the position after it."""
    hands: list[np.ndarray] = []
    end = position
    for value, after in _items(text, position, where):
        end = after
        try:
            points = np.array(value, np.float64)
        except (ValueError, TypeError):
            points = np.zeros(0)
        if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
            raise HandError(f"{where}: sample {len(hands)} is no list of finite 3D points.")
        if hands and points.shape != hands[0].shape:
            raise HandError(
                f"{where}: sample {len(hands)} has {len(points)} points, "
                f"the first one {len(hands[0])}."
            )
        hands.append(points)
    if not hands:
        raise HandError(f"{where}: no samples.")
    return np.stack(hands), end


def _items(text: str, position: int, where: str) -> Iterator[tuple[object, int]]:
    """The values of a JSON list one by one, each with the position after the list so far."""
    if text[position : position + 1] != "[":
        raise HandError(f"{where}: a list should begin here: {text[position : position + 20]!r}.")
    position, count = _skip(text, position + 1), 0
    while text[position : position + 1] != "]":
        try:
            value, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            raise HandError(f"{where}: damaged at sample {count}.") from None
        position, count = _skip(text, position), count + 1
        after = text[position : position + 1]
        if after == ",":
            position = _skip(text, position + 1)
        elif after != "]":
            raise HandError(f"{where}: damaged after sample {count - 1}.")
        yield value, position + 1 if after == "]" else position
