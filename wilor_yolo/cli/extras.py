"""The extras of this package: which modules each brings, and what it is for."""

from __future__ import annotations

__all__ = ["EXTRAS", "install_name"]

EXTRAS = {
    "track": (("lap",), "hands keep their number through a video"),
    "train": (("lightning_fabric", "tensorboard", "cloudpickle"), "training"),
    "synth": (("embreex", "numba", "scipy", "threadpoolctl"), "rendering training pictures"),
    "export": (("onnx", "onnxruntime", "openvino"), "the fast backends of the reconstructor"),
    "annotate": (("openvino",), "MediaPipe's networks in the annotation engine"),
    "ray": (("ray",), "annotation and prediction on a cluster"),
}
_OTHER_NAMES = {"yaml": "PyYAML", "PIL": "pillow"}


def install_name(module: str) -> str:
    """What to give to pip for a module that is missing."""
    for extra, (modules, _) in EXTRAS.items():
        if module in modules:
            return f'"wilor-yolo[{extra}]"'
    return _OTHER_NAMES.get(module, module)
