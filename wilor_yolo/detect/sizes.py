"""How large the networks are: parameters, operations and file size, beside the paper's."""

from __future__ import annotations

import io
from dataclasses import dataclass

import torch
from ultralytics.nn.tasks import PoseModel
from ultralytics.utils.torch_utils import get_flops

from ..grids import markdown_table
from .presets import read_model_yaml
from .trainer import name_backbones

__all__ = ["PAPER_MEGABYTES", "ModelSize", "format_sizes", "model_size"]

# Paper Tables 1 and 2, "Size (Mb)". It does not say which YOLO, nor which number format.
PAPER_MEGABYTES = {
    "Proposed-S": 7,
    "Proposed-M": 25,
    "Proposed-w. ResNet50": 118,
    "Proposed-w. HRNet": 132,
}


@dataclass(frozen=True)
class ModelSize:
    """A network's size.

    Attributes:
        name: of its model YAML.
        parameters: all of them, before batch norms are folded into convolutions.
        gflops: of one picture, multiplications and additions counted apart.
        imgsz: side of that picture, px.
        megabytes: of the fp16 checkpoint a training leaves, 10^6 bytes.
    """

    name: str
    parameters: int
    gflops: float
    imgsz: int
    megabytes: float


def model_size(name: str, imgsz: int = 640) -> ModelSize:
    """Build the network of a model YAML of this package and measure it.

    Raises:
        WeightsError: there is no such model.
    """
    name_backbones()
    model = PoseModel(read_model_yaml(name), verbose=False).float()
    parameters = sum(p.numel() for p in model.parameters())
    gflops = get_flops(model, imgsz)
    file = io.BytesIO()
    torch.save({"model": model.half()}, file)
    return ModelSize(name, parameters, gflops, imgsz, file.tell() / 1e6)


def format_sizes(sizes: list[ModelSize]) -> str:
    """A markdown table, the paper's rows below ours."""
    gflops = f"GFLOPs at {sizes[0].imgsz}" if sizes else "GFLOPs"
    lines = [
        [s.name, f"{s.parameters / 1e6:.2f}", f"{s.gflops:.1f}", f"{s.megabytes:.1f}"]
        for s in sizes
    ]
    lines += [[f"paper: {name}", "", "", str(size)] for name, size in PAPER_MEGABYTES.items()]
    return markdown_table(["network", "parameters M", gflops, "fp16 file MB"], lines)
