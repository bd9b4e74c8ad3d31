"""What training costs: operations, memory a crop, the loader against the step, one step's profile.

    python benchmarks/training.py sizes vit-tiny vit-base vit-huge
    python benchmarks/training.py memory vit-tiny vit-base few=2 many=10
    python benchmarks/training.py step data=shards/train network=vit-tiny batch=16 seconds=20

`sizes` computes on shapes alone (torch's meta device), so the largest network takes seconds.
`memory` runs forward and backward in a process of its own, with gradients in place as when a batch
runs in parts, and asks how large that got: with `few` and with `many` crops; the difference is what
a crop costs. No optimiser (two more numbers a parameter). backward=0 stops after the forward pass,
with what it keeps and without gradients, so that the largest network fits. POSIX only.
`step` keeps freed memory, as the trainers do; keep=0 lets it go.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from contextlib import nullcontext
from itertools import islice
from unittest.mock import patch

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from wilor_yolo.freed_memory import keep_freed_memory
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.reconstruct.augment import AugmentConfig
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.loader import BatchLoader
from wilor_yolo.reconstruct.losses import LossWeights
from wilor_yolo.reconstruct.mixing import DataGroup, SampleStore
from wilor_yolo.reconstruct.network import HandNetwork
from wilor_yolo.reconstruct.objective import Objective
from wilor_yolo.reconstruct.optimisation import parameter_groups
from wilor_yolo.reconstruct.recompute import recompute_blocks
from wilor_yolo.skeleton import MANO_PARENTS

BATCH = 2  # crops of `sizes`
_MEMORY = {"few": 2, "many": 10, "backward": 1}  # keys of `memory`
# Bytes a parameter: weight, gradient, AdamW's two moments, the moving average; 32 bits each.
STATE = 5 * 4


class Kept:
    """Counts what the forward pass keeps for the backward pass, each storage once."""

    def __init__(self, network: torch.nn.Module) -> None:
        states = [*network.parameters(), *network.buffers()]
        self.own = {state.untyped_storage()._cdata for state in states}
        self.seen: dict[int, torch.Tensor] = {}
        self.bytes = 0

    def pack(self, tensor: torch.Tensor) -> torch.Tensor:
        key = tensor.untyped_storage()._cdata
        if key not in self.seen and key not in self.own:
            self.seen[key] = tensor  # alive, so that its address is not given away again
            self.bytes += tensor.untyped_storage().nbytes()
        return tensor


def sizes(names: list[str]) -> None:
    print("network   M par.  GFLOP/crop    state GB     MB/crop  recomputed MB/crop")
    for name in names:
        model = load_hand_model(None)
        with torch.device("meta"):
            network = HandNetwork(NetworkConfig.from_yaml(name), model)
        # Which has no autocast; here it is only ever switched off.
        with patch("torch.autocast", lambda *_, **__: nullcontext()):
            network = network.to("meta").train()
            network.hand.parents = torch.tensor(MANO_PARENTS)  # numbers are asked for
            _size(name, network)


def _size(name: str, network: HandNetwork) -> None:
    side = network.config.image_size
    crops = torch.empty(BATCH, 3, side, side, device="meta")
    parameters = sum(p.numel() for p in network.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(crops)
    row = [counter.get_total_flops() / BATCH / 1e9, STATE * parameters / 1e9]
    row.append(_kept_bytes(network, crops) / BATCH / 1e6)
    if len(network.trunk.blocks):
        # Kept: each block's input. While one block is run again, its own activations.
        block = _block_bytes(network) / BATCH / 1e6
        recompute_blocks(network)
        row.append(_kept_bytes(network, crops) / BATCH / 1e6 + block)
    cells = "  ".join(f"{value:10.2f}" for value in row)
    print(f"{name:9s} {parameters / 1e6:6.1f} {cells}", flush=True)


def _kept_bytes(network: torch.nn.Module, inputs: torch.Tensor) -> int:
    kept = Kept(network)
    with saved_tensors_hooks(kept.pack, lambda tensor: tensor):
        output = network(inputs)
    del output
    return kept.bytes


def _block_bytes(network: HandNetwork) -> int:
    config, trunk = network.config, network.trunk
    tokens = trunk.pos_embed.shape[1] - 1 + (18 if config.tokens == "released" else 3)
    shape = (BATCH, tokens, config.dim)
    inputs = torch.empty(shape, device="meta", requires_grad=True)
    return _kept_bytes(trunk.blocks[-1], inputs)


def memory(names: list[str], few: int, many: int, backward: int) -> None:
    print(f"network   recomputed  peak GB of {few:2d}  of {many:2d}   MB/crop")
    for name in names:
        for again in (False, True):
            peaks = [_peak_of(name, batch, again, backward) for batch in (few, many)]
            slope = (peaks[1] - peaks[0]) / max(many - few, 1) * 1e3
            cells = f"{peaks[0]:13.2f}  {peaks[1]:5.2f}  {slope:8.0f}"
            print(f"{name:9s} {'yes' if again else 'no':10s} {cells}", flush=True)


def _peak_of(name: str, batch: int, again: bool, backward: int) -> float:
    """GB a process takes at most for a batch."""
    words = [sys.executable, __file__, "peak", name, *map(str, (batch, int(again), backward))]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def peak(name: str, batch: int, again: bool, backward: bool) -> None:
    import resource

    network = HandNetwork(NetworkConfig.from_yaml(name), load_hand_model(None)).train()
    if again:
        recompute_blocks(network)
    side = network.config.image_size
    if backward:
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
    output = network(torch.zeros(batch, 3, side, side))
    if backward:
        (output.vertices.mean() + output.keypoints_2d_crop.mean()).backward()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def step(data: str, name: str, batch: int, seconds: float, profile: bool) -> None:
    config = NetworkConfig.from_yaml(name)
    store = SampleStore([DataGroup(data)], limit=2000)
    loader = BatchLoader(store, config, AugmentConfig(), batch, seed=0, workers=0)
    batches = loader.batches(0)
    made = list(islice(batches, 2))
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds / 4:
        next(batches)
        count += batch
    print(f"loader: {count / (time.perf_counter() - began):.0f} crops/s, one thread")
    network = HandNetwork(config, load_hand_model(None)).train()
    objective = Objective(LossWeights(), network, aided=False, judge=None)
    optimiser = torch.optim.AdamW(parameter_groups(network, 1e-4, 0.01))

    def run(i: int) -> tuple[float, float, float]:
        times = [time.perf_counter()]
        cost = objective(network, made[i % 2].crops, made[i % 2])
        times.append(time.perf_counter())
        optimiser.zero_grad(set_to_none=True)
        cost.total.backward()
        times.append(time.perf_counter())
        optimiser.step()
        times.append(time.perf_counter())
        return times[1] - times[0], times[2] - times[1], times[3] - times[2]

    run(0)
    began, rows = time.perf_counter(), []
    while time.perf_counter() - began < seconds:
        rows.append(run(len(rows)))
    parts = [1000 * sum(column) / len(rows) for column in zip(*rows, strict=True)]
    print(f"step: {1000 * batch / sum(parts):.1f} crops/s; forward {parts[0]:.0f} ms, "
          f"backward {parts[1]:.0f} ms, optimiser {parts[2]:.0f} ms, batch {batch}")  # fmt: skip
    if profile:
        with torch.profiler.profile() as watched:
            run(0)
        print(watched.key_averages().table(sort_by="self_cpu_time_total", row_limit=14))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("sizes", "memory", "peak", "step"))
    parser.add_argument("words", nargs="*", help="network names; or key=value for step")
    words = parser.parse_args()
    if words.part == "sizes":
        sizes(words.words or ["vit-tiny", "vit-base", "vit-huge"])
        return
    if words.part == "peak":
        name, *numbers = words.words
        batch, again, backward = map(int, numbers)
        peak(name, batch, bool(again), bool(backward))
        return
    keys = dict(word.split("=", 1) for word in words.words if "=" in word)
    if keys.get("keep", "1") == "1" and words.part == "step":
        keep_freed_memory()
    if words.part == "memory":
        names = [word for word in words.words if "=" not in word]
        few, many, backward = (int(keys.get(k, d)) for k, d in _MEMORY.items())
        memory(names or ["vit-tiny"], few, many, backward)
        return
    step(keys["data"], keys.get("network", "vit-tiny"), int(keys.get("batch", 16)),
         float(keys.get("seconds", 20)), "profile" in keys)  # fmt: skip


if __name__ == "__main__":
    main()
