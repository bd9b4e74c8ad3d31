"""What an import error means, in one line."""

from __future__ import annotations

from .extras import install_name

__all__ = ["explain_import"]

_SHARED_OBJECTS = {
    "libGL.so": "libgl1",
    "libgthread": "libglib2.0-0",
    "libglib": "libglib2.0-0",
    "libSM": "libsm6",
    "libXext": "libxext6",
    "libxcb": "libxcb1",
}


def explain_import(error: ImportError) -> str | None:
    """What to do about it, or None if the error is a fault of this package itself."""
    message = str(error)
    for name, package in _SHARED_OBJECTS.items():
        if name in message:
            return (
                f"OpenCV cannot load ({message.split(':')[0]} is missing): "
                f"apt-get install {package}"
            )
    if error.name == "cv2" or "cv2" in message:
        return f"OpenCV cannot load ({message}): pip install --force-reinstall opencv-python"
    missing = (error.name or "").split(".")[0]
    if missing and missing != "wilor_yolo" and isinstance(error, ModuleNotFoundError):
        return f"the package {missing} is missing: pip install {install_name(missing)}"
    return None
