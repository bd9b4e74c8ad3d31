"""``device=`` as people write it -> a torch device that is there."""

from __future__ import annotations

from .errors import HandError

__all__ = ["torch_device"]


def torch_device(wanted: object) -> str:
    """The name torch knows a device by.

    Args:
        wanted: ``cpu``, ``mps``, ``cuda``, ``cuda:1``, ``1`` or ``auto``, also as a number or as
            `torch.device`.

    Raises:
        HandError: no such device on this machine.
    """
    import torch

    name = str(wanted).strip().lower()
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda:0" if gpus else "cpu"
    if name == "cpu":
        return name
    if name == "mps" and torch.backends.mps.is_available():
        return name
    number = name.removeprefix("cuda").removeprefix(":") or "0"
    if name != "mps" and number.isdecimal():
        if int(number) < gpus:
            return f"cuda:{number}"
        raise HandError(f"device={wanted}: torch sees {gpus} CUDA devices; use device=cpu.")
    raise HandError(f"device={wanted} is not there; use cpu, cuda:0, mps or auto.")
