"""``wilor-yolo weights info|convert``."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import NPZ_ERRORS, HandError, WeightsError
from ..whole_files import replacing
from .keys import choice, describe_keys, key, maybe, read_keys, text, whole
from .verbs import choose

__all__ = ["HELP", "run", "sha256"]


@dataclass(frozen=True)
class InfoOptions:
    """The keys of ``weights info``."""

    file: str | None = key(None, text, "a weight file or hand model", "all that ship with us")


@dataclass(frozen=True)
class ConvertOptions:
    """The keys of ``weights convert``."""

    source: str = key(
        ...,
        text,
        "wilor_final.ckpt, a checkpoint of ours, a trained detector, or a mediapipe wheel",
    )
    out: str = key(..., text, "the file to write: .safetensors (reconstructor) or .pt (detector)")
    part: str = key(
        "all",
        choice("all", "body"),
        "body: a detector's layers below its head, as a plain state dict",
    )
    network: str | None = key(
        None,
        maybe(text),
        "what a file of another network starts: vit-huge of a ViTPose, MAE or timm file; "
        "yolo11s-hand-pose.yaml of a smaller detector",
        "the one in the file",
    )
    heads: int | None = key(
        None, maybe(whole(1)), "attention heads of a released checkpoint of another size", "16"
    )


HELP = f"""\
wilor-yolo weights: what is in weight files, and other files made of them

  wilor-yolo weights info
  wilor-yolo weights info file=best.pt
  wilor-yolo weights convert source=wilor_final.ckpt out=wilor.safetensors
  wilor-yolo weights convert source=vitpose.pth out=start.safetensors network=vit-base
  wilor-yolo weights convert source=runs/pose/train/weights/best.pt out=detector.pt
  wilor-yolo weights convert source=hand-n.pt part=body out=body.pt
  wilor-yolo weights convert source=hand-n.pt network=yolo11s-hand-pose.yaml out=start.pt
  wilor-yolo weights convert source=mediapipe-0.10.21-cp311-....whl out=landmarks.pt

info: size, SHA-256 and what the file says of its making.
{describe_keys(InfoOptions)}
convert: a released reconstructor to .safetensors without its MANO buffers (give hand_model= to
predict, or get the free hand), or a trained detector to fp16 without paths and history. A
detector's body is what `reconstruct train network=yolo-s losses.maps=0.03 init=body.pt` starts
from. With network= a detector becomes a wider one that computes the same, for training to go on
from. The landmark network inside the wheel of mediapipe 0.10.21 (or its .tflite) becomes a
plain state dict, from which `reconstruct train network=landmark-s init=landmarks.pt` starts
(extra: annotate).
{describe_keys(ConvertOptions)}
"""


def run(args: list[str]) -> int:
    """Run the verb."""
    part, rest = choose("weights", args, ("info", "convert"))
    return _info(rest) if part == "info" else _convert(rest)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    import hashlib

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _info(args: list[str]) -> int:
    from rich.console import Console

    from ..weights_dir import or_shipped, weights_dir

    options = read_keys(InfoOptions, args, "weights info")
    console = Console(highlight=False)
    if options.file is None:
        root = weights_dir()
        files = sorted(p for p in root.rglob("*") if p.suffix in {".pt", ".safetensors", ".npz"})
        if not files:
            raise WeightsError(f"{root} holds no weight files; reinstall wilor_yolo.")
    else:
        files = [or_shipped(options.file)]
    for path in files:
        if not path.is_file():
            what = "is a folder; give a file" if path.is_dir() else "does not exist; check the path"
            raise WeightsError(f"{path} {what}.")
        console.print(f"[bold]{path}[/bold]", soft_wrap=True)
        facts = {"size": f"{path.stat().st_size / 1e6:.2f} MB", "sha256": sha256(path)}
        for name, value in {**facts, **_facts(path)}.items():
            console.print(f"  {name}: {value}", markup=False, soft_wrap=True)
    return 0


def _facts(path: Path) -> dict[str, object]:
    """What a file says of itself."""
    if path.suffix == ".safetensors":
        from ..reconstruct.checkpoints import load_network, read_info, read_trained_with

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another hand: nothing is posed here
            network = load_network(path)
        count = sum(tensor.numel() for tensor in network.parameters())
        config = ", ".join(f"{k}={v}" for k, v in network.config.to_dict().items())
        return {
            "kind": "reconstructor",
            "parameters": f"{count / 1e6:.2f} million",
            "network": config,
            "trained with": _hand_name(read_trained_with(path)),
            **read_info(path),
        }
    if path.suffix in (".onnx", ".xml"):
        from ..reconstruct.exported import load_exported

        try:
            exported = load_exported(path)
        except WeightsError as error:  # a detector, say
            return {"kind": f"unknown: {error}"}
        config = ", ".join(f"{k}={v}" for k, v in exported.config.to_dict().items())
        return {
            "kind": "exported reconstructor",
            "network": config,
            "hand": _hand_name(exported.hand_marks),
            **exported.info,
        }
    if path.suffix == ".pt":
        from ..detect.provenance import MADE_BY
        from ..detect.restricted import read_restricted

        checkpoint = read_restricted(path)
        model: Any = checkpoint.get("ema") or checkpoint.get("model")
        if model is None:  # what `convert` makes for init=
            count = sum(value.numel() for value in checkpoint.values() if hasattr(value, "numel"))
            return {"kind": "tensors without a network", "numbers": f"{count / 1e6:.2f} million"}
        count = sum(tensor.numel() for tensor in model.parameters())
        return {
            "kind": f"detector ({type(model).__name__})",
            "parameters": f"{count / 1e6:.2f} million",
            "classes": ", ".join(model.names.values()),
            "date": checkpoint.get("date"),
            "license": checkpoint.get("license"),
            **checkpoint.get("provenance", {}),
            **model.yaml.get(MADE_BY, {}),
        }
    if path.suffix == ".npz":
        import numpy as np

        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = ", ".join(sorted(archive.files))
        except NPZ_ERRORS as error:
            raise WeightsError(f"{path} is damaged or no .npz file: {error}.") from None
        return {"kind": "arrays", "names": arrays}
    return {"kind": "unknown; only .safetensors, .pt, .onnx, .xml and .npz files are looked into"}


def _hand_name(marks: str | None) -> str:
    from ..mano.layer import HandLayer
    from ..reconstruct.checkpoints import hand_marks, same_hand

    if marks is None:
        return "a hand model the file does not name"
    free = same_hand(marks, hand_marks(HandLayer.free()))
    return "the free hand" if free else f"another hand model ({marks})"


def _convert(args: list[str]) -> int:
    options = read_keys(ConvertOptions, args, "weights convert")
    from ..weights_dir import or_shipped

    source, out = or_shipped(options.source), Path(options.out)
    if not source.is_file():
        raise WeightsError(f"{source} does not exist; check the path.")
    if not out.parent.is_dir():
        raise HandError(f"{out.parent} is no folder; make it first.")
    if out.exists() and out.samefile(source):
        raise HandError(f"out={out} is the source itself; give another name.")
    if source.suffix == ".safetensors" and options.network is None:
        raise HandError(
            f"{source} is a reconstructor in our format, or a ViT, which needs network=; there is "
            "nothing to convert."
        )
    if options.heads is not None and out.suffix != ".safetensors":
        raise HandError(f"heads= is for reconstructors (.safetensors), out={out} is none.")
    if source.suffix in (".whl", ".tflite"):
        _convert_landmarks(source, out)
        print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, sha256 {sha256(out)}")
        return 0
    if options.part == "body" and out.suffix != ".pt":
        raise HandError(f"out={out}: the body of a detector is a .pt file.")
    if options.part == "body" and options.network is not None:
        raise HandError("part=body goes without network=: only whole detectors can be made wider.")
    if out.suffix == ".safetensors":
        from .weights_reconstructor import convert_reconstructor

        convert_reconstructor(source, out, options.heads, options.network)
    elif out.suffix == ".pt":
        from ..detect.release import release_checkpoint, save_body

        if options.part == "body":
            save_body(source, out)
        elif options.network is not None:
            from ..detect.widen import widen_checkpoint

            widen_checkpoint(source, out, options.network)
        else:
            release_checkpoint(source, out)
    else:
        raise HandError(f"out={out} should end in .safetensors (reconstructor) or .pt (detector).")
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, sha256 {sha256(out)}")
    return 0


def _convert_landmarks(source: Path, out: Path) -> None:
    import torch

    from ..annotate.mediapipe_files import find_files
    from ..reconstruct.landmark_weights import read_landmark_weights

    if out.suffix != ".pt":
        raise HandError(f"out={out}: the weights of a landmark network become a .pt file.")
    state = read_landmark_weights(
        find_files(source).landmark if source.suffix == ".whl" else source
    )
    with replacing(out) as temporary, temporary.open("wb") as file:
        torch.save(state, file)
