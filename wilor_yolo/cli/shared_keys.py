"""Keys that several verbs have, with one meaning each."""

from __future__ import annotations

from typing import Any

from .keys import key, maybe, text, whole

__all__ = [
    "detector_key",
    "device_key",
    "hand_model_key",
    "heads_key",
    "imgsz_key",
    "reconstructor_key",
]


def detector_key() -> Any:
    return key(None, maybe(text), "detector file, or hand-s.pt", "hand-n.pt")


def reconstructor_key() -> Any:
    return key(
        None,
        maybe(text),
        "a file of ours, wilor_final.ckpt, or exported (.onnx, .xml)",
        "the shipped weights",
    )


def hand_model_key(note: str = "") -> Any:
    return key(None, maybe(text), f"MANO .pkl or .npz file{note}", "the free hand")


def heads_key() -> Any:
    return key(None, maybe(whole(1)), "attention heads of a released checkpoint", "16")


def imgsz_key() -> Any:
    return key(
        None,
        maybe(whole(32, 8192)),
        "longer side of the picture the detector sees, px",
        "what it was trained at",
    )


def device_key() -> Any:
    return key("auto", text, "cpu, cuda:0, 0, mps; auto is the first GPU if there is one")
