"""Reading the label caches that Ultralytics writes beside a data set, without running them.

A cache is an .npy file of one pickled object, and a data set from somebody else may bring one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ..errors import WeightsError
from ..unpickle import NUMPY_NAMES, as_plain, read_pickle

__all__ = ["read_label_cache"]


def read_label_cache(path: str | Path) -> dict[str, Any] | None:
    """The content of a `labels.cache`, plain values and arrays; None if there is nothing to trust.

    No file, a damaged one, or one that asks for more than numbers, text and arrays: all of them
    mean that the labels have to be read again.
    """
    try:
        with open(path, "rb") as file:
            if npy.read_magic(file) != (1, 0):
                return None
            shape, _, dtype = npy.read_array_header_1_0(file)
            if shape != () or dtype != np.dtype(object):
                return None
            content = as_plain(read_pickle(file.read(), NUMPY_NAMES))
    except (OSError, ValueError, WeightsError):
        return None
    return content if isinstance(content, dict) else None
