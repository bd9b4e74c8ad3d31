"""MATLAB files of data sets: structs as plain objects, read with SciPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HandError

__all__ = ["read_mat"]


def read_mat(path: Path, name: str) -> list[Any]:
    """The elements of one variable: a cell array, or an array of structs.

    Structs have their fields as attributes; numbers are numpy arrays without axes of length 1.

    Raises:
        HandError: SciPy is missing; the file is missing or damaged, or has no such variable.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise HandError("MATLAB files need scipy: pip install scipy") from None
    try:
        # Before MATLAB 7.3 the format holds data only; loadmat runs nothing.
        variables = loadmat(path, squeeze_me=True, struct_as_record=False, variable_names=[name])
    except FileNotFoundError:
        raise HandError(f"{path} does not exist; is the download complete?") from None
    except Exception as error:  # SciPy raises anything at damaged bytes
        raise HandError(f"{path} is damaged or no MATLAB file ({error})") from None
    if name not in variables:
        raise HandError(f"{path} has no variable {name}")
    value = variables[name]
    many = isinstance(value, np.ndarray) and value.dtype == object
    return list(value.ravel()) if many else [value]  # a single element has lost its array
