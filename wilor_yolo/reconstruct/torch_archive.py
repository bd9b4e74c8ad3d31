"""Read tensors out of a stranger's `torch.save` file without running anything in it.

Such a file is a zip archive: a pickle that names the tensors and one uncompressed member for each
storage. The pickle goes through :mod:`wilor_yolo.unpickle`; objects of other libraries inside it
(configuration nodes, trainer state) stay inert records and their libraries need not exist. It does
not depend on what the installed torch allows in its own restricted loading.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from ..unpickle import NUMPY_NAMES, ForeignName, Name, Record, read_pickle

__all__ = ["PickledTensor", "TorchArchive"]

# Libraries whose objects lie in training checkpoints and say nothing about the weights.
INERT = (
    "argparse",
    "collections",
    "datetime",
    "lightning",
    "lightning_fabric",
    "lightning_lite",
    "numpy",
    "omegaconf",
    "pathlib",
    "pytorch_lightning",
    "torch",
    "wilor",
    "yacs",
)

_STORAGE_DTYPES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}


class _StorageType(Record):
    dtype: torch.dtype


class _Storage(Record):
    """args: dtype, member key, number of elements."""


class PickledTensor(Record):
    """A tensor whose numbers are not read yet; args: storage, offset, size, stride, ..."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size.

        Raises:
            WeightsError: the pickle gives no size.
        """
        size = self.args[2] if len(self.args) > 3 else None
        if not isinstance(size, tuple) or not all(isinstance(n, int) and n >= 0 for n in size):
            raise WeightsError("a tensor in it has no size")
        return size


class _Parameter(Record):
    """``torch._utils._rebuild_parameter(tensor, requires_grad, hooks)``."""

    def __new__(cls, *args: Any) -> Any:
        if not args or not isinstance(args[0], PickledTensor):
            raise WeightsError("a parameter in it is no tensor")
        return args[0]


_NAMES: dict[Name, type] = {
    **NUMPY_NAMES,
    ("torch._utils", "_rebuild_tensor_v2"): PickledTensor,
    ("torch._utils", "_rebuild_parameter"): _Parameter,
    **{
        ("torch", name): type(name, (_StorageType,), {"dtype": dtype})
        for name, dtype in _STORAGE_DTYPES.items()
    },
}


class TorchArchive:
    """An open checkpoint; use it as a context manager.

    Attributes:
        contents: what was saved, with :class:`PickledTensor` for tensors and
            :class:`~wilor_yolo.unpickle.Record` for objects of unknown classes.

    Raises:
        WeightsError: the file is missing, damaged, of the format before torch 1.6, or its pickle
            asks for names that no checkpoint needs.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise WeightsError(f"checkpoint {self.path} does not exist; check the path.")
        try:
            self._zip = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError):
            raise WeightsError(
                f"{self.path} is damaged, or saved by a torch older than 1.6 (no zip archive); "
                "download it again, or save it anew with torch.save."
            ) from None
        try:
            self._root = self._find_root()
            self.contents = read_pickle(
                self._member("data.pkl"), _NAMES, inert=INERT, persistent=_storage
            )
        except WeightsError as error:
            self._zip.close()
            if isinstance(error, ForeignName) and error.package == "ultralytics":
                raise WeightsError(
                    f"{self.path} is a YOLO model; is it a detector (detector=)?"
                ) from None
            raise WeightsError(f"{self.path} is no checkpoint we can trust: {error}.") from None

    def __enter__(self) -> TorchArchive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def tensor(self, name: str, pickled: Any) -> Tensor:
        """Read one tensor; `name` is for the error message.

        Raises:
            WeightsError: it is no tensor, or its storage is missing or too short.
        """
        try:
            return self._tensor(pickled)
        except WeightsError as error:
            raise WeightsError(f"{self.path}: {name} cannot be read: {error}.") from None

    def _tensor(self, pickled: Any) -> Tensor:
        if not isinstance(pickled, PickledTensor):
            raise WeightsError("it is no tensor")
        size = pickled.shape
        storage, offset, _, stride = pickled.args[:4]
        numbers = (offset, *stride) if isinstance(stride, tuple) else (None,)
        if (
            not isinstance(storage, _Storage)
            or len(stride) != len(size)
            or not all(isinstance(n, int) and n >= 0 for n in numbers)
        ):
            raise WeightsError("its layout is broken")
        dtype, key, _ = storage.args
        data = self._member(f"data/{key}")
        values = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if 0 not in size and last >= len(values):
            raise WeightsError(f"its storage has {len(values)} elements and needs {last + 1}")
        return values.to(dtype).as_strided(size, stride, offset).clone()

    def _find_root(self) -> str:
        for name in self._zip.namelist():
            if name.endswith("/data.pkl") and name.count("/") == 1:
                return name.removesuffix("data.pkl")
        raise WeightsError("it holds no data.pkl")

    def _member(self, name: str) -> bytes:
        try:
            info = self._zip.getinfo(self._root + name)
        except KeyError:
            raise WeightsError(f"it lacks {name}") from None
        # torch never compresses; a compressed member could grow to any size.
        if info.compress_type != zipfile.ZIP_STORED:
            raise WeightsError(f"its {name} is compressed, which torch never does")
        try:
            return self._zip.read(info)
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise WeightsError(f"its {name} is damaged ({error})") from None


def _storage(pid: Any) -> _Storage:
    if (
        not isinstance(pid, tuple)
        or len(pid) != 5
        or pid[0] != "storage"
        or not (isinstance(pid[1], type) and issubclass(pid[1], _StorageType))
        or not isinstance(pid[2], str)
    ):
        raise WeightsError("it refers to data in an unknown way")
    return _Storage(pid[1].dtype, pid[2], pid[4])
