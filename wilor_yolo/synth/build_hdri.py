"""Rebuild `weights/synth/hdri.npz` from the npm package `@pmndrs/assets`.

    npm pack @pmndrs/assets@1.7.0
    pip install OpenEXR
    python -m wilor_yolo.synth.build_hdri pmndrs-assets-1.7.0.tgz weights/synth/hdri.npz

The package carries 18 Poly Haven panoramas (CC0) as base64 EXR files of 512 x 256 pixels. OpenEXR
is needed here only; rendering reads the small file with numpy and OpenCV.

Encoding: each channel's logarithm as an integer of 0..CODES, stored as a 16-bit PNG, whose row
prediction compresses smooth skies well. One step is 1.8 %, below what 8-bit output can show.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import HandError
from ..whole_files import replacing
from .hdri_codec import encode

__all__ = ["build", "main"]

_PREFIX, _SUFFIX = "package/hdri/", ".exr.js"


def build(package: str | Path, out: str | Path) -> dict[str, int]:
    """Convert every panorama of the npm tarball.

    Args:
        package: the `.tgz` of `npm pack @pmndrs/assets`.
        out: the `.npz` to write; every key is a name, every value the bytes of a PNG.

    Returns:
        Name -> size in bytes.
    """
    arrays: dict[str, Any] = {}  # of arrays; numpy's stub of savez allows no other spelling
    with tarfile.open(package) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            if member.name.startswith(_PREFIX) and member.name.endswith(_SUFFIX):
                stream = tar.extractfile(member)
                assert stream is not None
                text = stream.read().decode()
                radiance = _read_exr(base64.b64decode(text.split("base64,")[1].split("'")[0]))
                name = member.name[len(_PREFIX) : -len(_SUFFIX)]
                arrays[name] = encode(_without_ringing(radiance))
    if not arrays:
        raise HandError(f"{package} holds no {_PREFIX}*{_SUFFIX}; pass @pmndrs/assets 1.7.0.")
    digest = hashlib.sha256(Path(package).read_bytes()).hexdigest()
    with replacing(out) as temporary, temporary.open("wb") as file:
        np.savez(file, source=np.array(f"@pmndrs/assets sha256 {digest}"), **arrays)
    return {name: int(a.nbytes) for name, a in arrays.items()}


def _read_exr(data: bytes) -> np.ndarray:
    """Linear RGB radiance (H, W, 3) float32."""
    try:
        import OpenEXR
    except ImportError:
        raise HandError("rebuilding the panoramas needs OpenEXR: pip install OpenEXR") from None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.exr"
        path.write_bytes(data)
        with OpenEXR.File(str(path)) as file:
            return np.array(file.channels()["RGB"].pixels, dtype=np.float32)


def _without_ringing(radiance: np.ndarray) -> np.ndarray:
    """The files' lossy DWAB compression undershoots, even below zero, around lamps."""
    radiance = np.nan_to_num(radiance)
    channels = [cv2.medianBlur(np.ascontiguousarray(radiance[..., c]), 5) for c in range(3)]
    return np.maximum(radiance, np.maximum(0.6 * np.stack(channels, -1), 0)).astype(np.float32)


def main(arguments: list[str]) -> None:
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    sizes = build(*arguments)
    print("\n".join(f"{name:12s} {size / 1024:7.0f} KB" for name, size in sizes.items()))
    print(f"{arguments[1]}: {Path(arguments[1]).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
