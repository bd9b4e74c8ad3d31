"""``wilor-yolo reconstruct export``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import HandError
from .keys import choice, describe_keys, key, maybe, read_keys, text, whole

__all__ = ["HELP", "export"]


@dataclass(frozen=True)
class ExportOptions:
    """The keys of ``reconstruct export``."""

    weights: str | None = key(None, maybe(text), "reconstructor file", "the shipped weights")
    format: str | None = key(
        None,
        choice("onnx", "openvino"),
        "onnx (.onnx) or openvino (.xml and .bin)",
        "by the ending of out=, else onnx",
    )
    out: str | None = key(
        None, text, "the file to write", "named after the weights, in this folder"
    )
    hand_model: str | None = key(
        None, maybe(text), "MANO .pkl or .npz file that goes into the file", "the free hand"
    )
    heads: int | None = key(
        None, maybe(whole(1)), "attention heads of a released checkpoint of another size", "16"
    )


HELP = f"""\
export: crops in; parameters, vertices and joints out; one hand or more. predict takes the file
as reconstructor=; docs/reconstructor.md says what is in it. Needs the extra export.
{describe_keys(ExportOptions)}"""


def export(args: Sequence[str]) -> int:
    """Write the file."""
    options = read_keys(ExportOptions, args, "reconstruct export")
    from ..reconstruct.export import FORMATS
    from ..reconstruct.predictor import HandReconstructor
    from ..weights_dir import RECONSTRUCTOR

    stem = Path(options.weights or RECONSTRUCTOR).stem
    out = Path(options.out or f"{stem}{FORMATS[options.format or 'onnx']}")
    if options.format and out.suffix != FORMATS[options.format]:
        ending = FORMATS[options.format]
        raise HandError(f"out={out}: files of format={options.format} end in {ending}.")
    reconstructor = HandReconstructor(
        options.weights, hand_model=options.hand_model, heads=options.heads
    )
    reconstructor.export(out)
    parts = [out, out.with_suffix(".bin"), out.with_name(f"{out.name}.data")]
    size = sum(part.stat().st_size for part in parts if part.is_file())
    print(f"{out}: {size / 1e6:.2f} MB. Use it: wilor-yolo predict reconstructor={out}")
    return 0
