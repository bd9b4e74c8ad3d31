"""Files of other people's data sets, read without running anything in them.

JSON, pickles of numpy arrays (through :mod:`wilor_yolo.unpickle`), and `.npz` archives whose
arrays of objects are such pickles.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .errors import NPZ_ERRORS, HandError
from .unpickle import NUMPY_NAMES, as_plain, read_pickle

__all__ = ["NpzFile", "find_picture", "read_json_file", "read_pickle_bytes", "read_pickle_file"]

_PICTURES = (".jpg", ".png", ".jpeg")


def read_json_file(path: str | Path) -> Any:
    """The contents of a JSON file.

    Raises:
        HandError: it is missing or damaged; the message names it.
    """
    path = Path(path)
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise HandError(f"{path} does not exist; check root=.") from None
    except ValueError as error:
        raise HandError(f"{path} is damaged or no JSON ({error}); download it again.") from None


def read_pickle_file(path: str | Path) -> Any:
    """Plain values and numpy arrays of a pickle file; nothing in it is run.

    Raises:
        HandError: it is missing, damaged, or asks for names such a file does not need.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise HandError(f"{path} does not exist; check root=.") from None
    return read_pickle_bytes(data, str(path))


def read_pickle_bytes(data: bytes, where: str) -> Any:
    """The same of a pickle in memory; `where` names it in messages."""
    try:
        return as_plain(read_pickle(data, NUMPY_NAMES))
    except HandError as error:
        raise HandError(f"{where}: {error}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise HandError(f"{where}: the pickle is damaged ({error})") from None


class NpzFile:
    """An `.npz` archive. Arrays are read when asked for.

    Raises:
        HandError: the file is missing or no archive.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with zipfile.ZipFile(self.path) as archive:
                self.names = tuple(n.removesuffix(".npy") for n in archive.namelist())
        except FileNotFoundError:
            raise HandError(f"{self.path} does not exist; check the path.") from None
        except (zipfile.BadZipFile, OSError) as error:
            raise HandError(f"{self.path} is no .npz archive ({error}).") from None

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def read(self, name: str) -> Any:
        """One array; an array of objects as a list of plain values.

        Raises:
            HandError: there is none of that name, or it is damaged.
        """
        if name not in self.names:
            raise HandError(f"{self.path} has no {name}; it holds {', '.join(sorted(self.names))}.")
        try:
            with (
                zipfile.ZipFile(self.path) as archive,
                archive.open(f"{name}.npy") as handle,
            ):
                version = np.lib.format.read_magic(handle)
                header = np.lib.format.read_array_header_1_0
                if version >= (2, 0):
                    header = np.lib.format.read_array_header_2_0
                *_, dtype = header(handle)
                if dtype.hasobject:
                    return read_pickle_bytes(handle.read(), f"{self.path}: {name}")
            with np.load(self.path, allow_pickle=False) as arrays:
                return arrays[name]
        except NPZ_ERRORS as error:
            raise HandError(f"{self.path}: {name} is damaged ({error}).") from None


def find_picture(stem: Path) -> Path:
    """The picture with this path, whatever its suffix (sets change from .png to .jpg).

    Raises:
        HandError: there is none.
    """
    for suffix in _PICTURES:
        path = stem.with_name(stem.name + suffix)
        if path.is_file():
            return path
    raise HandError(f"there is no picture {stem}.jpg or .png; is the download complete?")
