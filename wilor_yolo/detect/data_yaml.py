"""The data YAML of a hand data set, as all that writes one writes it."""

from __future__ import annotations

from pathlib import Path

from ..metrics.detection import KEYPOINT_SIGMAS
from ..skeleton import JOINT_NAMES, NUM_JOINTS, SIDE_NAMES

__all__ = ["data_yaml_of", "data_yaml_text"]

_PARTS = ("train", "val", "test")


def data_yaml_of(root: Path) -> str:
    """The text for a folder, which names the parts whose pictures are there.

    Args:
        root: folder with `images/{train,val,test}`, or some of these; what is missing for training
            or validation is replaced by another part. Without any of them the text is empty.
    """
    there = [part for part in _PARTS if (root / "images" / part).is_dir()]
    if not there:
        return ""
    train = "train" if "train" in there else there[0]
    val = next((part for part in ("val", "test") if part in there), train)
    text = data_yaml_text(root, f"images/{train}", f"images/{val}")
    return text + ("\ntest: images/test\n" if "test" in there else "")


def data_yaml_text(root: Path | None, train: str, val: str) -> str:
    """The text of a data YAML of hands.

    Without `flip_idx`: a stock training would then mirror pictures and keep "left" a left hand.

    Args:
        root: folder the other two are relative to; None for the one the YAML lies in.
        train: folder of training pictures; `labels` replaces `images` in it to find the labels.
        val: the same for validation.
    """
    lines = [] if root is None else [f"path: {root.resolve()}"]
    lines += [f"train: {train}", f"val: {val}"]
    lines += ["", f"nc: {len(SIDE_NAMES)}", "names:"]
    lines += [f"  {side}: {name}" for side, name in SIDE_NAMES.items()]
    lines += ["", f"kpt_shape: [{NUM_JOINTS}, 3]"]
    lines += [f"kpt_oks_sigmas: {list(KEYPOINT_SIGMAS)}", "kpt_names:"]
    lines += [f"  {side}: [{', '.join(JOINT_NAMES)}]" for side in SIDE_NAMES]
    return "\n".join(lines) + "\n"
