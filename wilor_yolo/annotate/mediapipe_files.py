"""Where MediaPipe's two hand networks come from.

They lie in the wheel of mediapipe 0.10.21 (Apache-2.0), which itself is not installed: it wants an
old numpy. Get it with

    pip download --no-deps --only-binary :all: --python-version 311 \\
        --platform manylinux_2_28_x86_64 mediapipe==0.10.21

and give the wheel, or a folder with the two `.tflite` files. Found files are kept in a cache
folder, so that the wheel is needed once.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import WeightsError
from ..whole_files import write_bytes

__all__ = ["MediaPipeFiles", "cache_folder", "find_files"]

_PALM, _LANDMARK = "palm_detection_full.tflite", "hand_landmark_full.tflite"
_IN_WHEEL = {
    _PALM: f"mediapipe/modules/palm_detection/{_PALM}",
    _LANDMARK: f"mediapipe/modules/hand_landmark/{_LANDMARK}",
}
_SHA256 = {  # of the files in the 0.10.21 wheel
    _PALM: "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    _LANDMARK: "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
}
_COMMAND = (
    "pip download --no-deps --only-binary :all: --python-version 311 "
    "--platform manylinux_2_28_x86_64 mediapipe==0.10.21"
)


@dataclass(frozen=True)
class MediaPipeFiles:
    """Paths of the palm detector and of the landmark network."""

    palm: Path
    landmark: Path


def cache_folder() -> Path:
    """`~/.cache/wilor_yolo/mediapipe`, or below `XDG_CACHE_HOME`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "wilor_yolo" / "mediapipe"


def find_files(place: str | Path | None = None) -> MediaPipeFiles:
    """The two networks.

    Args:
        place: the wheel (its files go to the cache), a folder that holds the two files or the
            wheel, or None for the cache.

    Raises:
        WeightsError: they are not there, or are other files than those of 0.10.21.
    """
    if place is None:
        return _in_folder(cache_folder())
    path = Path(place)
    if path.is_dir() and not (path / _PALM).is_file():
        wheels = sorted(path.glob("mediapipe-0.10.21-*.whl"))
        path = wheels[0] if wheels else path
    return _unpack(path) if path.suffix == ".whl" else _in_folder(path)


def _in_folder(folder: Path) -> MediaPipeFiles:
    missing = [name for name in (_PALM, _LANDMARK) if not (folder / name).is_file()]
    if missing:
        raise WeightsError(
            f"MediaPipe's {' and '.join(missing)} are not in {folder}; run `{_COMMAND}` and give "
            "mediapipe=<the wheel> once."
        )
    for name in (_PALM, _LANDMARK):
        _check(name, (folder / name).read_bytes(), folder / name)
    return MediaPipeFiles(folder / _PALM, folder / _LANDMARK)


def _unpack(wheel: Path) -> MediaPipeFiles:
    folder = cache_folder()
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = {name: archive.read(inside) for name, inside in _IN_WHEEL.items()}
    except FileNotFoundError:
        raise WeightsError(f"{wheel} does not exist; run `{_COMMAND}`.") from None
    except (KeyError, zipfile.BadZipFile, OSError):
        raise WeightsError(f"{wheel} is no wheel of mediapipe 0.10.21; run `{_COMMAND}`.") from None
    for name, data in found.items():
        _check(name, data, wheel)
        write_bytes(folder / name, data)
    return MediaPipeFiles(folder / _PALM, folder / _LANDMARK)


def _check(name: str, data: bytes, where: Path) -> None:
    if hashlib.sha256(data).hexdigest() != _SHA256[name]:
        raise WeightsError(f"{where}: {name} is not the file of mediapipe 0.10.21.")
