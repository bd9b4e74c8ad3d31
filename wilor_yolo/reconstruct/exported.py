"""Run a reconstructor that was exported to ONNX or OpenVINO (:mod:`.export`), on the CPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import HandError, WeightsError, one_line
from .config import NetworkConfig
from .export import COARSE, FORMAT, INPUT, import_openvino, openvino_model, read_openvino
from .network import CoarseHand, HandNetwork, NetworkOutput

__all__ = ["BACKENDS", "ExportedNetwork", "compile_network", "load_exported"]

BACKENDS = ("torch", "onnx", "openvino")


class ExportedNetwork:
    """Called like `HandNetwork`: normalised crops (B, 3, S, S) in, `NetworkOutput` out.

    Attributes:
        config: what the network inside is made of.
        faces: (F, 3) int32 triangles of the hand inside.
        hand_marks: which hand that is, for :func:`.checkpoints.same_hand`; None in older files.
        info: provenance.
        backend: ``"onnx"`` or ``"openvino"``.
    """

    def __init__(
        self,
        run: Callable[[np.ndarray], dict[str, np.ndarray]],
        metadata: dict[str, str],
        backend: str,
        source: str,
    ) -> None:
        if metadata.get("format") != FORMAT:
            raise WeightsError(
                f"{source} is no reconstructor exported by this package "
                f"(format {metadata.get('format')!r}); make one with: wilor-yolo reconstruct export"
            )
        try:
            self.config = NetworkConfig.from_dict(json.loads(metadata["config"]))
            self.faces = np.asarray(json.loads(metadata["faces"]), np.int32).reshape(-1, 3)
            self.info: dict[str, Any] = json.loads(metadata["info"])
            self.hand_marks = metadata.get("hand")
        except (KeyError, ValueError, HandError) as error:
            raise WeightsError(f"{source} lacks what its use needs ({error}).") from None
        self.backend = backend
        self._run = run

    def __call__(self, crops: Tensor) -> NetworkOutput:
        """Reconstruct B hands.

        Args:
            crops: (B, 3, S, S) float32, normalised RGB, left hands mirrored.
        """
        arrays = self._run(np.ascontiguousarray(crops.cpu().numpy(), np.float32))
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        coarse = {n[len(COARSE) :]: tensors.pop(n) for n in arrays if n.startswith(COARSE)}
        values: dict[str, Any] = tensors
        return NetworkOutput(**values, coarse=CoarseHand(**coarse))


def load_exported(path: str | Path, backend: str | None = None) -> ExportedNetwork:
    """Read a file that :func:`.export.export_network` wrote.

    Args:
        path: `.onnx`, or `.xml` with its `.bin` beside it.
        backend: what runs an `.onnx`: ``"onnx"`` (ONNX Runtime, the default) or ``"openvino"``.

    Raises:
        WeightsError: missing, damaged, or not one of ours.
        HandError: the runtime is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"reconstructor weights {path} do not exist; check the path.")
    if path.suffix == ".onnx" and backend in (None, "onnx"):
        return _onnx_runtime(path)
    if backend not in (None, "openvino"):
        kind = "ONNX" if path.suffix == ".onnx" else "OpenVINO"
        raise HandError(f"{path} is an {kind} file, which backend={backend!r} cannot run.")
    return _openvino(read_openvino(path, "is damaged or lacks its .bin"), str(path))


def compile_network(network: HandNetwork) -> ExportedNetwork:
    """A torch network on OpenVINO, without a file; tracing it takes some seconds.

    Raises:
        HandError: OpenVINO is not installed.
    """
    return _openvino(openvino_model(network), "the network")


def _onnx_runtime(path: Path) -> ExportedNetwork:
    try:
        import onnxruntime
    except ImportError:
        raise HandError('ONNX Runtime is missing: pip install "wilor-yolo[export]"') from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions are many and share no base of their own
        reason = one_line(error)
        raise WeightsError(f"{path} is damaged or no ONNX file: {reason}") from None
    metadata = session.get_modelmeta().custom_metadata_map
    names = [output.name for output in session.get_outputs()]

    def run(crops: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {INPUT: crops}), strict=True))

    return ExportedNetwork(run, metadata, "onnx", str(path))


def _openvino(model: Any, source: str) -> ExportedNetwork:
    openvino = import_openvino()
    metadata = {}
    for key in ("format", "config", "info", "hand", "faces"):
        for place in (["wilor_yolo", key], ["framework", key]):  # the second: read from .onnx
            if model.has_rt_info(place):
                metadata[key] = model.get_rt_info(place).astype(str)
                break
    settings = {
        # Half precision, its choice on newer CPUs, would cost millimetres.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(model, "CPU", settings)

    names = [output.any_name for output in model.outputs]

    def run(crops: np.ndarray) -> dict[str, np.ndarray]:
        result = compiled([crops])
        # Copies: OpenVINO writes the next result into the same memory.
        return {name: np.array(result[name]) for name in names}

    return ExportedNetwork(run, metadata, "openvino", source)
