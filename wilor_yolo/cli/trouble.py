"""What an import error means, in one line."""

from __future__ import annotations

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
        return f"the package {missing} is missing: pip install {_EXTRAS.get(missing, missing)}"
    return None


_EXTRAS = {
    "lap": '"wilor-yolo[track]"',
    "embreex": '"wilor-yolo[synth]"',
    "numba": '"wilor-yolo[synth]"',
    "threadpoolctl": '"wilor-yolo[synth]"',
    "lightning_fabric": '"wilor-yolo[train]"',
    "lightning": '"wilor-yolo[train]"',
    "tensorboard": '"wilor-yolo[train]"',
    "cloudpickle": '"wilor-yolo[train]"',
    "yaml": "PyYAML",
    "PIL": "pillow",
}
