"""The mean of two trained files of one network, detectors (.pt) or reconstructors (.safetensors).

    python benchmarks/average_weights.py a=before.pt b=after.pt out=mean.pt imgsz=416
    python benchmarks/average_weights.py a=before.safetensors b=after.safetensors out=m.safetensors

For weights of which one went on from the other; share= (0.5) is the part of b. imgsz= is the size
a detector's file names as its own, px; by default that of b. What a file says of its making is kept
from b.
"""

from __future__ import annotations

from pathlib import Path

import torch
from key_words import key_words
from torch import Tensor

from wilor_yolo.detect.release import read_pose_model, release_model
from wilor_yolo.reconstruct.checkpoints import load_network, read_info, save_network


def mean(a: dict[str, Tensor], b: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Of two state dicts, with `share` of b; counters are b's."""
    return {k: torch.lerp(a[k], b[k], share) if b[k].is_floating_point() else b[k] for k in b}


def main() -> None:
    keys = key_words(__doc__)
    first, second, out = keys["a"], keys["b"], keys["out"]
    share = float(keys.get("share", 0.5))
    averaged = f"of {Path(first).name} and {Path(second).name}, {share:g} of the latter"
    with torch.no_grad():
        if out.endswith(".safetensors"):
            network = load_network(second)
            before = load_network(first).state_dict()
            network.load_state_dict(mean(before, network.state_dict(), share))
            save_network(out, network, {**read_info(second), "mean": averaged})
            return
        before = read_pose_model(Path(first))[1].float().state_dict()
        checkpoint, model = read_pose_model(Path(second))
        model.float().load_state_dict(mean(before, model.state_dict(), share))
    trained_with = dict(checkpoint.get("train_args") or {})
    trained_with["imgsz"] = int(keys.get("imgsz", trained_with.get("imgsz", 640)))
    print(release_model(model, trained_with, out, {"mean": averaged}))


if __name__ == "__main__":
    main()
