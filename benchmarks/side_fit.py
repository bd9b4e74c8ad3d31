"""Fit the two linear layers that tell a crop's side again, the rest of the network as it is.

    python benchmarks/side_fit.py weights=reconstructor.safetensors out=sides.safetensors \\
        data=shards/real,shards/synth val=shards/val

The network reads augmented crops once, half of them mirrored; logistic regression, held near the
old weights, does the rest. For a landmark network with `side: true` (`NetworkConfig.side`).
"""

from __future__ import annotations

from itertools import islice

import torch
from key_words import key_words
from torch import Tensor
from torch.nn import functional

from wilor_yolo.freed_memory import keep_freed_memory
from wilor_yolo.reconstruct.augment import AugmentConfig
from wilor_yolo.reconstruct.batches import make_batch
from wilor_yolo.reconstruct.checkpoints import load_network, read_info, save_network
from wilor_yolo.reconstruct.network import HandNetwork
from wilor_yolo.shards import iterate_samples

HOLD = 1e-2  # pull towards the old weights, in units of the features' spread


@torch.no_grad()
def what_layers_see(network: HandNetwork, shards: str, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs of both layers side by side (N, C), and whether each crop shows a right hand (N,)."""
    augment = AugmentConfig(rotation_deg=90.0, mirror_probability=0.5)
    seen: list[Tensor] = []
    layers = (network.trunk.stem.body.side, network.trunk.side)  # in the order they run
    hooks = [m.register_forward_hook(lambda _, given, __: seen.append(given[0])) for m in layers]
    stream, inputs, right = iter(iterate_samples(shards)), [], []
    while samples := list(islice(stream, 48)):
        keys = [(seed, 48 * len(inputs) + i) for i in range(len(samples))]
        batch = make_batch(samples, network.config, augment, keys)
        network(batch.crops.to(memory_format=torch.channels_last))
        inputs.append(torch.cat(seen, dim=1))
        seen.clear()
        right.append(batch.targets.shows_right)
    for hook in hooks:
        hook.remove()
    return torch.cat(inputs), torch.cat(right)


def report(name: str, inputs: Tensor, right: Tensor, weight: Tensor, bias: Tensor) -> None:
    share = ((inputs @ weight + bias > 0) == (right > 0.5)).float().mean()
    print(f"{name}: {100 * share:.1f} % of {len(right)} crops right")


def main() -> None:
    keys = key_words(__doc__)
    keep_freed_memory()
    network = load_network(keys["weights"]).to(memory_format=torch.channels_last)
    stem, tokens = network.trunk.stem.body.side, network.trunk.side
    old = torch.cat((stem.weight[0], tokens.weight[0])).detach()
    old_bias = (stem.bias + tokens.bias).detach()
    parts = [what_layers_see(network, name, 31) for name in keys["data"].split(",")]
    inputs, right = (torch.cat(part) for part in zip(*parts, strict=True))
    spread = inputs.std(dim=0) + 1e-3
    change = torch.zeros_like(old, requires_grad=True)
    bias = old_bias.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([change, bias], max_iter=150, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        optimiser.zero_grad()
        logits = inputs @ (old + change / spread) + bias
        loss = functional.binary_cross_entropy_with_logits(logits, right)
        loss = loss + HOLD * change.square().sum()
        loss.backward()
        return loss

    optimiser.step(cost)
    weight = (old + change / spread).detach()
    for name in keys["val"].split(","):
        held = what_layers_see(network, name, 33)
        report(f"{name} before", *held, old, old_bias)
        report(f"{name} after", *held, weight, bias.detach())
    with torch.no_grad():
        stem.weight[0], tokens.weight[0] = weight.split((stem.in_features, tokens.in_features))
        stem.bias.zero_()
        tokens.bias.copy_(bias)
    save_network(keys["out"], network, read_info(keys["weights"]))


if __name__ == "__main__":
    main()
