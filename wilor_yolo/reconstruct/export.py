"""Write a whole reconstructor as ONNX or OpenVINO: crops in; parameters, vertices, joints out.

The traced graph holds everything `HandNetwork` does, hand model and refinement included, with the
number of hands left open. What else is needed to use it (crop size, box scale, frames, which hand)
travels in the file's own metadata; docs/reconstructor.md lists the keys. :mod:`.exported` reads
both formats back.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..crops import IMAGE_MEAN, IMAGE_STD
from ..errors import HandError, WeightsError, one_line
from .checkpoints import hand_marks
from .network import CoarseHand, HandNetwork, NetworkOutput

__all__ = [
    "COARSE",
    "FORMAT",
    "FORMATS",
    "INPUT",
    "export_network",
    "import_openvino",
    "is_exported",
    "openvino_model",
]

FORMAT = "wilor_yolo.reconstructor.export/1"
FORMATS = {"onnx": ".onnx", "openvino": ".xml"}
INPUT = "crops"
COARSE = "coarse_"  # what the names of the trunk's own estimates begin with
OPSET = 17  # the first with LayerNormalization


def is_exported(path: str | Path) -> bool:
    """Whether a file name is that of an exported network."""
    return Path(path).suffix in FORMATS.values()


class _Flat(nn.Module):
    """The network with a tuple as result, in the order of :func:`_named`."""

    def __init__(self, network: HandNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        return tuple(_named(self.network(crops)).values())


def _named(output: NetworkOutput) -> dict[str, Tensor]:
    coarse = {
        # A copy: without refinement both are one tensor, and a graph's outputs have one name each.
        f"{COARSE}{field.name}": getattr(output.coarse, field.name).clone()
        for field in fields(CoarseHand)
    }
    return {**output.tensors, **coarse}


def export_network(
    path: str | Path, network: HandNetwork, info: Mapping[str, str | int | float] | None = None
) -> Path:
    """Write a network for other runtimes, whole or not at all; float32.

    Args:
        path: ends in `.onnx`, or in `.xml` for OpenVINO (a `.bin` of the same name goes with it).
            What does not fit into the 2 GB of one ONNX file goes into a `.onnx.data` beside it.
        network: any `HandNetwork`; its hand model goes into the file, whose licence follows it.
        info: provenance, as in `save_network`.

    Returns:
        The path.

    Raises:
        HandError: another ending, a folder that is not there, or a package is not installed.
    """
    path = Path(path)
    if not is_exported(path):
        raise HandError(f"cannot export to {path}; its name must end in .onnx or .xml (OpenVINO).")
    if not path.parent.is_dir():
        raise HandError(f"the folder {path.parent} does not exist; make it first.")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        temporary = Path(folder) / path.name
        if path.suffix == ".xml":
            model = openvino_model(network, info)
            import_openvino().save_model(model, temporary, compress_to_fp16=False)
        else:
            _write_onnx(temporary, network, info)
        # What the file that names the others needs has to be there before it.
        for part in sorted(Path(folder).iterdir(), key=lambda part: part == temporary):
            os.replace(part, path.with_name(part.name))
    return path


def openvino_model(
    network: HandNetwork, info: Mapping[str, str | int | float] | None = None
) -> Any:
    """The network as an `openvino.Model`, with our metadata under `rt_info`.

    Raises:
        HandError: OpenVINO or onnx is not installed.
    """
    core = import_openvino().Core()
    core.set_property({"ENABLE_MMAP": False})  # the file goes away
    with tempfile.TemporaryDirectory(prefix="wilor-yolo-") as folder:
        # By way of ONNX: OpenVINO's own tracer is three times slower and needs its converter,
        # which is the part of OpenVINO that reports home.
        file = Path(folder) / "network.onnx"
        _write_onnx(file, network, info)
        model = core.read_model(file)
    for key, value in _metadata(network, info).items():
        model.set_rt_info(value, ["wilor_yolo", key])
    return model


def import_openvino() -> Any:
    """The module `openvino`, kept from reporting home.

    Raises:
        HandError: it is not installed.
    """
    import sys

    if "openvino" not in sys.modules:
        # Without this package OpenVINO falls back to a stub that sends nothing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError:
        raise HandError('OpenVINO is missing: pip install "wilor-yolo[export]"') from None
    return openvino


def read_openvino(path: Path, complaint: str) -> Any:
    """An `openvino.Model` from any file that OpenVINO reads.

    Args:
        path: the file.
        complaint: what is said, with OpenVINO's reason, of one it cannot read.

    Raises:
        WeightsError: `complaint`.
        HandError: OpenVINO is not installed.
    """
    openvino = import_openvino()
    try:
        return openvino.Core().read_model(path)
    except Exception as error:  # OpenVINO has no narrower one
        reason = one_line(error)
        raise WeightsError(f"{path} {complaint}: {reason}") from None


def _write_onnx(
    path: Path, network: HandNetwork, info: Mapping[str, str | int | float] | None
) -> None:
    try:
        import onnx
    except ImportError:
        raise HandError('onnx is missing: pip install "wilor-yolo[export]"') from None
    still = copy.deepcopy(network).cpu().float().eval()
    side = network.config.image_size
    # Two hands, because a batch of one is traced into constants.
    crops = torch.zeros(2, 3, side, side)
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
        warnings.catch_warnings(),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")  # of tracing: shapes other than the batch are fixed
        outputs = _named(still(crops))
        traced = Path(folder) / "traced.onnx"  # big ones come with a file for every tensor
        torch.onnx.export(
            _Flat(still),
            (crops,),
            str(traced),
            dynamo=False,  # the newer exporter needs one more package
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_axes={name: {0: "hands"} for name in (INPUT, *outputs)},
            opset_version=OPSET,
        )
        large = len(list(Path(folder).iterdir())) > 1
        model = onnx.load(traced)
    for output, tensor in zip(model.graph.output, outputs.values(), strict=True):
        sizes = output.type.tensor_type.shape.dim
        for size, known in zip(sizes[1:], tensor.shape[1:], strict=True):
            size.dim_value = known  # the tracer leaves some open
    onnx.helper.set_model_props(model, _metadata(network, info))
    onnx.save_model(
        model, path, save_as_external_data=large, location=f"{path.name}.data" if large else None
    )


def _metadata(network: HandNetwork, info: Mapping[str, str | int | float] | None) -> dict[str, str]:
    return {
        "format": FORMAT,
        "config": json.dumps(network.config.to_dict()),
        "info": json.dumps(dict(info or {})),
        "mean": json.dumps([round(float(x), 6) for x in IMAGE_MEAN]),
        "std": json.dumps([round(float(x), 6) for x in IMAGE_STD]),
        "hand": hand_marks(network.hand),
        "faces": json.dumps(network.hand.faces.tolist(), separators=(",", ":")),
    }
