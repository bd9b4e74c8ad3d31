"""Read a stranger's pickle without running anything in it.

A pickle is a program: it names functions and calls them. Here every name it may use stands for an
inert record that only remembers what the pickle says of it; nothing is imported, and a name nobody
expects ends the reading. What the records mean is worked out afterwards, by our own code.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from .errors import WeightsError, one_line

__all__ = [
    "NUMPY_NAMES",
    "ForeignName",
    "Name",
    "PickledArray",
    "PickledScalar",
    "Record",
    "SparseColumns",
    "as_plain",
    "read_pickle",
]

Name = tuple[str, str]  # module and name, as the pickle writes them


class Record:
    """An object of a class we do not import.

    Attributes:
        args: what it was made with.
        state: what was set on it afterwards, None if nothing.
        items: entries, when it is some dictionary.
        values: elements, when it is some list or set.
    """

    args: tuple
    state: Any
    items: dict
    values: list

    def __new__(cls, *args: Any) -> Record:
        record = super().__new__(cls)
        record.args, record.state, record.items, record.values = args, None, {}, []
        return record

    # Every method the unpickler may call on an object; without __setstate__ it would write
    # attributes itself.
    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        self.values.append(value)

    def extend(self, values: Any) -> None:
        self.values.extend(values)

    def add(self, value: Any) -> None:
        self.values.append(value)

    def attribute(self, name: str) -> Any:
        """One entry of the object's ``__dict__``.

        Raises:
            WeightsError: the object has no such attribute.
        """
        if not isinstance(self.state, dict) or name not in self.state:
            raise WeightsError(f"a {type(self).__name__} in it has no {name}")
        return self.state[name]


class _Dictionary(dict):
    """A dictionary of any class; its extra state (`OrderedDict._metadata`) is dropped."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Reconstructor(Record):
    """``copyreg._reconstructor(cls, base, state)``: how old protocols make an object."""

    def __new__(cls, *args: Any) -> Any:
        if len(args) == 3 and isinstance(args[0], type) and issubclass(args[0], Record):
            return args[0].__new__(args[0])
        raise WeightsError("it makes an object of no known class")


class _Encoded(Record):
    """``_codecs.encode(text, "latin1")``, ``bytes()``: bytes of Python 3 in old protocols."""

    def content(self) -> bytes:
        if not self.args:
            return b""
        if len(self.args) != 2 or self.args[1] != "latin1" or not isinstance(self.args[0], str):
            raise WeightsError("it encodes text in an unknown way")
        return self.args[0].encode("latin1")


class _Dtype(Record):
    """``numpy.dtype(code)``."""

    def numpy(self) -> np.dtype:
        code = str(self.args[0]) if self.args else ""
        # Plain numbers only: structures and objects have no place in a hand.
        if not re.fullmatch(r"[<>|=]?([fiu][1248]|b1)", code) or code.endswith("f1"):
            raise WeightsError(f"an array in it has elements of kind {code!r}")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "<"
        return np.dtype(code.lstrip("<>|=")).newbyteorder(">" if order == ">" else "<")


class PickledArray(Record):
    """A numpy array; :meth:`numpy` makes it one."""

    def numpy(self) -> np.ndarray:
        """The array itself.

        Raises:
            WeightsError: elements that are no numbers, or a shape that does not fit the data.
        """
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise WeightsError("an array in it has no contents")
        _, shape, dtype, fortran, data = self.state
        if isinstance(data, _Encoded):
            data = data.content()
        elif isinstance(data, str):  # written by Python 2
            data = data.encode("latin1")
        if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
            raise WeightsError("an array in it holds objects")
        values = np.frombuffer(data, dtype.numpy())
        if not isinstance(shape, tuple) or values.size != np.prod(shape, dtype=object):
            raise WeightsError(f"an array in it has {values.size} elements for shape {shape}")
        values = values.reshape(shape, order="F" if fortran else "C")
        return values.astype(values.dtype.newbyteorder("="))


class PickledScalar(Record):
    """A numpy number or text; :meth:`python` makes it one of Python's."""

    def python(self) -> int | float | bool | str:
        """The value.

        Raises:
            WeightsError: something else than a number or text.
        """
        if len(self.args) != 2 or not isinstance(self.args[0], _Dtype):
            raise WeightsError("a number in it has no type")
        dtype, data = self.args
        data = data.content() if isinstance(data, _Encoded) else data
        code = str(dtype.args[0]) if dtype.args else ""
        kind = re.fullmatch(r"[<>|=]?([US])[0-9]+", code)
        if kind and isinstance(data, bytes):
            return data.decode("utf-32-le" if kind[1] == "U" else "latin1").rstrip("\0")
        if not isinstance(data, bytes) or len(data) != dtype.numpy().itemsize:
            raise WeightsError("a number in it does not fit its type")
        return np.frombuffer(data, dtype.numpy())[0].item()


class _BufferArray(PickledArray):
    """``numpy.core.numeric._frombuffer(data, dtype, shape, order)``: arrays of protocol 5."""

    def numpy(self) -> np.ndarray:
        if len(self.args) != 4 or not isinstance(self.args[0], (bytes, bytearray)):
            raise WeightsError("an array in it lies outside the pickle")
        data, dtype, shape, order = self.args
        self.state = (1, shape, dtype, order == "F", bytes(data))
        return super().numpy()


class SparseColumns(Record):
    """A `scipy.sparse.csc_matrix`; :meth:`numpy` makes it dense."""

    def numpy(self) -> np.ndarray:
        """The dense matrix.

        Raises:
            WeightsError: indices that do not fit the shape.
        """
        shape = self.attribute("_shape")
        parts = [self.attribute(name) for name in ("data", "indices", "indptr")]
        if not all(isinstance(part, PickledArray) for part in parts):
            raise WeightsError("a sparse matrix in it is incomplete")
        data, rows, starts = (part.numpy() for part in parts)
        if len(shape) != 2 or max(shape) > 10_000 or len(starts) != shape[1] + 1:
            raise WeightsError(f"a sparse matrix in it does not fit its shape {shape}")
        counts = np.diff(starts)
        if (counts < 0).any() or counts.sum() != len(data) or len(rows) != len(data):
            raise WeightsError("a sparse matrix in it has broken columns")
        if len(rows) and not 0 <= rows.min() <= rows.max() < shape[0]:
            raise WeightsError("a sparse matrix in it has rows outside its shape")
        dense = np.zeros(shape, data.dtype)
        np.add.at(dense, (rows, np.repeat(np.arange(shape[1]), counts)), data)
        return dense


_PLAIN_NAMES: dict[Name, type] = {
    ("collections", "OrderedDict"): _Dictionary,
    ("collections", "defaultdict"): Record,
    ("_codecs", "encode"): _Encoded,
    ("copyreg", "_reconstructor"): _Reconstructor,
    ("builtins", "bytes"): _Encoded,
    ("builtins", "object"): Record,
    ("builtins", "set"): Record,
    ("builtins", "frozenset"): Record,
}
# What numpy arrays need, under the module's names before and since numpy 2.
NUMPY_NAMES: dict[Name, type] = {
    ("numpy", "ndarray"): Record,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): PickledArray,
    ("numpy.core.multiarray", "scalar"): PickledScalar,
    ("numpy._core.multiarray", "scalar"): PickledScalar,
    ("numpy.core.numeric", "_frombuffer"): _BufferArray,
    ("numpy._core.numeric", "_frombuffer"): _BufferArray,
}
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class ForeignName(WeightsError):
    """A pickle asks for something that no file of its kind needs.

    Attributes:
        package: the top-level package of what it asks for.
    """

    def __init__(self, module: str, name: str) -> None:
        self.package = module.split(".")[0]
        super().__init__(
            f"it asks for {module}.{name}, which such a file does not need; nothing in it was run"
        )


def read_pickle(
    data: bytes,
    known: Mapping[Name, type] | None = None,
    inert: Collection[str] = (),
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The object a pickle describes, made of plain values and records.

    Args:
        data: the pickle.
        known: classes that stand for names, besides those of plain containers. They must define
            `__setstate__`; :class:`Record` does.
        inert: top-level packages any name of which becomes a :class:`Record`.
        persistent: what a persistent id stands for.

    Raises:
        WeightsError: the pickle asks for another name, or is damaged. The message is half a
            sentence: the caller knows the file.
    """
    table = {**_PLAIN_NAMES, **(known or {})}

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            module = _PYTHON_2.get(module, module)
            if (module, name) in table:
                return table[module, name]
            if module.split(".")[0] in inert:
                return type(name.rpartition(".")[2], (Record,), {})
            raise ForeignName(module, name)

        def persistent_load(self, pid: Any) -> Any:
            if persistent is None:
                raise WeightsError("it refers to data outside itself")
            return persistent(pid)

    try:
        return Unpickler(io.BytesIO(data), encoding="latin1").load()
    except WeightsError:
        raise
    except Exception as error:  # a damaged pickle raises anything at all
        raise WeightsError(f"it is damaged or no pickle: {one_line(error)}") from error


def as_plain(value: Any) -> Any:
    """Arrays, numbers and containers for the records of a pickle read with `NUMPY_NAMES`.

    An array of objects becomes its one element when it has no axes, and a list of them in the
    order of the pickle when it has one.

    Raises:
        WeightsError: a record that stands for something else. Half a sentence, as above.
    """
    if isinstance(value, PickledArray):
        if isinstance(value.state, tuple) and len(value.state) == 5:
            _, shape, _, _, data = value.state
            if isinstance(data, list):  # the elements are objects
                if shape == () and len(data) == 1:
                    return as_plain(data[0])
                if shape != (len(data),):
                    raise WeightsError(f"an array in it has {len(data)} objects for shape {shape}")
                return [as_plain(item) for item in data]
        return value.numpy()
    if isinstance(value, PickledScalar):
        return value.python()
    if isinstance(value, _Encoded):
        return value.content()
    if isinstance(value, dict):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(as_plain(item) for item in value)
    if isinstance(value, Record):
        raise WeightsError(f"it holds a {type(value).__name__}, which is neither number nor list")
    return value
