"""Read a picture file as what people see of it: upright, opaque, 8 bits, BGR.

OpenCV decodes fast and Pillow decodes carefully. Complete JPEG and PNG files of plain colour go
through OpenCV; everything else (palettes, transparency, CMYK, 16-bit TIFF, files that look cut
off) goes through Pillow first, which raises where OpenCV would hand back half a grey picture.
"""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .errors import ImageError

__all__ = ["MAX_PIXELS", "exif_focal", "from_pillow", "picture_size", "read_image"]

# Pillow refuses more than this by default (a "decompression bomb"); so do we, by name.
MAX_PIXELS = 2 * (1024 * 1024 * 1024 // 4 // 3)

_PLAIN_MODES = {"1", "L", "RGB", "I;16", "I;16B", "I"}
_EXIF_IFD = 0x8769
_ORIENTATION = 0x0112
_FOCAL_LENGTH = 0x920A
_FOCAL_35MM = 0xA405
_PIXELS_X, _PIXELS_Y = 0xA002, 0xA003
_PLANE_X, _PLANE_UNIT = 0xA20E, 0xA210
_MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # inch, cm, mm, micrometre
_DIAGONAL_35MM = math.hypot(36.0, 24.0)


def read_image(path: str | Path) -> np.ndarray:
    """Decode a picture file.

    The EXIF orientation is applied, transparent parts are laid on white, 16 bits become 8.

    Args:
        path: JPEG, PNG, WebP, TIFF, BMP, GIF (first frame) or whatever else OpenCV or Pillow read.

    Returns:
        (H, W, 3) uint8, BGR, contiguous.

    Raises:
        ImageError: missing, empty, cut off, too large or no picture.
    """
    path = Path(path)
    data = _read_bytes(path)
    header = _open(data, path)
    if header is None:
        return _decode_opencv(data, path)
    if header.format in {"JPEG", "MPO", "PNG"} and header.mode in _PLAIN_MODES:
        transparent = "transparency" in header.info
        if not transparent and _complete(data, header.format):
            return _upright(_decode_opencv(data, path), _orientation(header))
    return _upright(_decode_pillow(header, data, path), _orientation(header))


def from_pillow(image: Any) -> np.ndarray:
    """A Pillow picture as :func:`read_image` would give its file: (H, W, 3) uint8, BGR.

    Raises:
        ImageError: empty, cut off, or of samples whose range nobody knows.
    """
    if not all(image.size):
        raise ImageError("the picture has no pixels.")
    try:
        image.load()
        return np.ascontiguousarray(
            _upright(_opaque_bgr(image, "the picture"), _orientation(image))
        )
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"the picture is damaged ({error}); save it as JPEG or PNG.") from None


def picture_size(path: str | Path) -> tuple[int, int]:
    """(width, height) px of a picture file as :func:`read_image` gives it, from its header alone.

    Raises:
        ImageError: missing, empty, too large or no picture.
    """
    path = Path(path)
    data = _read_bytes(path)
    header = _open(data, path)
    if header is None:
        height, width = _decode_opencv(data, path).shape[:2]
        return width, height
    turned = _orientation(header) in {5, 6, 7, 8}
    return (header.height, header.width) if turned else (header.width, header.height)


def exif_focal(path: str | Path, width: int, height: int) -> float | None:
    """Focal length in pixels from the EXIF data of a picture file.

    The 35 mm equivalent is defined by the angle of view along the diagonal (CIPA DCG-001), so it
    holds for upright and turned pictures of any aspect alike; without it, the focal length in
    millimetres and the sensor's resolution serve.

    Args:
        path: the file; anything but a picture with EXIF data gives None.
        width, height: size of the picture as :func:`read_image` gives it, px. A picture scaled
            down since is accounted for; one cropped since (another aspect) gives None.

    Returns:
        Focal length for that size, px, or None if the file does not say.
    """
    from PIL import Image

    try:
        with open(path, "rb") as file:
            if not _may_have_exif(file.read(12)):
                return None  # videos come here once a frame
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exif = Image.open(file).getexif().get_ifd(_EXIF_IFD)
    except Exception:  # damaged EXIF data raises anything at all, and is as good as none
        return None
    taken_x, taken_y = _number(exif.get(_PIXELS_X)), _number(exif.get(_PIXELS_Y))
    longer, shorter = max(width, height), min(width, height)
    scale = 1.0
    if taken_x and taken_y:
        taken_aspect = max(taken_x, taken_y) / min(taken_x, taken_y)
        if abs(taken_aspect * shorter / longer - 1) > 0.02:
            return None
        scale = longer / max(taken_x, taken_y)
    focal = None
    if focal_35mm := _number(exif.get(_FOCAL_35MM)):
        focal = focal_35mm * math.hypot(width, height) / _DIAGONAL_35MM
    else:
        millimetres, per_unit = _number(exif.get(_FOCAL_LENGTH)), _number(exif.get(_PLANE_X))
        unit = _MM_PER_UNIT.get(int(_number(exif.get(_PLANE_UNIT)) or 2))
        if millimetres and per_unit and unit:
            focal = millimetres * per_unit / unit * scale
    # Fields of view from 170 to 1 degree; anything else is a broken tag.
    return focal if focal and 0.04 < focal / longer < 60 else None


def _may_have_exif(start: bytes) -> bool:
    """Whether a file begins like a JPEG, PNG, TIFF (either byte order) or WebP."""
    if start.startswith(b"RIFF"):
        return start[8:12] == b"WEBP"
    return start.startswith((b"\xff\xd8", b"\x89PNG", b"II*\x00", b"MM\x00*"))


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise ImageError(f"{path} is a folder; give a picture file.")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist; check the path.") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not data:
        raise ImageError(f"{path} is empty (0 bytes); copy or download it again.")
    return data


def _open(data: bytes, path: Path) -> Any:
    """Pillow's lazy image (header only), or None if Pillow does not know the format."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its warning at half the limit
            image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError:
        raise ImageError(
            f"{path} has more than {MAX_PIXELS // 10**6} million pixels; scale it down first."
        ) from None
    except Exception:  # UnidentifiedImageError, or a damaged header, which raises anything
        return None
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(
            f"{path} is {image.width} x {image.height} px, more than {MAX_PIXELS // 10**6} "
            "million pixels; scale it down first."
        )
    return image


def _complete(data: bytes, format: str) -> bool:
    """Whether the end marker of a JPEG or PNG is there."""
    if format == "PNG":
        return b"IEND" in data[-1024:]
    # Thumbnails in the header have an end marker of their own: look behind the first scan.
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xDA:
            return data.find(b"\xff\xd9", position) >= 0
        if marker == 0xFF:
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False


def _decode_opencv(data: bytes, path: Path) -> np.ndarray:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        video = "" if path.suffix else ", or give a video its ending"
        raise ImageError(
            f"{path} is damaged or no picture we can read; save it as JPEG or PNG{video}."
        )
    return image


def _decode_pillow(image: Any, data: bytes, path: Path) -> np.ndarray:
    try:
        image.load()
        return _opaque_bgr(image, str(path))
    except ImageError:
        raise
    except (OSError, SyntaxError) as error:
        if "truncated" in str(error) or "broken" in str(error):
            raise ImageError(f"{path} is cut off; copy or download it again.") from None
        raise ImageError(f"{path} is damaged ({error}); save it as JPEG or PNG.") from None
    except Exception:  # a mode or a codec that Pillow cannot convert
        return _decode_opencv(data, path)


def _opaque_bgr(image: Any, name: str) -> np.ndarray:
    sixteen_bits = image.mode == "I" and image.format == "PNG"  # older Pillows call them so
    if image.mode.startswith("I;16") or sixteen_bits:
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    if image.mode in {"I", "F"}:
        raise ImageError(f"{name} holds 32-bit samples of unknown range; save it as an 8-bit PNG.")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        return _on_white(np.asarray(image.convert("RGBA")))
    return cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)


def _on_white(rgba: np.ndarray) -> np.ndarray:
    bgr = cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGR)
    alpha = rgba[..., 3:]
    if alpha.min() == 255:
        return bgr
    mixed = bgr.astype(np.uint16) * alpha + 255 * (255 - alpha.astype(np.uint16))
    return ((mixed + 127) // 255).astype(np.uint8)


def _orientation(image: Any) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF data raises anything at all
        return 1


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the camera's orientation tag (EXIF 2.3, tag 0x0112)."""
    if orientation in {5, 6, 7, 8}:
        image = cv2.transpose(image)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return image if flip is None else cv2.flip(image, flip)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None
