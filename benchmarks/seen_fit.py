"""Teach `SeenFit` from posed hands, without pictures, and write a network that has it.

    python benchmarks/seen_fit.py weights=reconstructor.safetensors out=start.safetensors \\
        data=shards/synth,shards/real val=shards/val minutes=9 samples=3000

The network is run once over augmented crops. Of each it is kept how far its hand, and the landmarks
its stem sees, are from the truth, in the hand's own frame. Training then draws hands, gives some
of them fingers of other hands and another orientation, adds errors that were kept, and learns to
undo the hand's with the help of the landmarks; a network that has a `SeenFit` goes on from that
one. The sets of `data` are drawn equally often; samples= takes at most so many of each. The reports
are of hands as they are, with their own errors: PA-MPJPE in mm and 2D error in % of the box, before
and after.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import islice

import roma
import torch
from key_words import key_words
from torch import Tensor

from wilor_yolo.freed_memory import keep_freed_memory
from wilor_yolo.geometry import (
    CROP_FOCAL,
    matrix_to_rotation_6d,
    project_crop,
    rotation_6d_to_matrix,
)
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.metrics.pose import pa_errors
from wilor_yolo.reconstruct.augment import AugmentConfig
from wilor_yolo.reconstruct.batches import make_batch
from wilor_yolo.reconstruct.checkpoints import load_network, read_info, save_network
from wilor_yolo.reconstruct.losses import complete_targets
from wilor_yolo.reconstruct.network import PALM, HandNetwork
from wilor_yolo.reconstruct.seen_fit import SeenFit
from wilor_yolo.reconstruct.stems import LandmarkEvidence
from wilor_yolo.shards import iterate_samples

ROUNDS = 2
BATCH = 192
LR = 1e-3
SWAPPED = 0.6  # share of the hands that are changed
WORST_FIT = 0.06  # crop units between projected and labelled joints: worse labels are left out


@dataclass
class Errors:
    """N hands and what was wrong about them; see :func:`keep_errors`.

    Attributes:
        rotations: (N, 16, 3, 3) true.
        betas: (N, 10) true.
        cam: (N, 3) true crop camera, with the palm's place (N, 2) in metres for its translation.
        turns: (N, 16, 3, 3) from the true rotations to the network's.
        lengths: (N, 16, 2) of the two columns in the network's 6D numbers.
        betas_off: (N, 10); zoom: (N,) network's scale over the true one; palm_off: (N, 2) metres.
        flat: (N, 21, 3) landmarks off in the picture, metres at the hand's depth, hand frame.
        deep: (N, 21, 3) landmarks off in 3D, metres, hand frame.
    """

    rotations: Tensor
    betas: Tensor
    cam: Tensor
    turns: Tensor
    lengths: Tensor
    betas_off: Tensor
    zoom: Tensor
    palm_off: Tensor
    flat: Tensor
    deep: Tensor

    def rows(self, index: Tensor) -> Errors:
        """Some of the hands."""
        return Errors(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass
class Hand:
    """What the network holds for B hands: pose (6D), shape, and the camera head's numbers."""

    pose6d: Tensor
    betas: Tensor
    head: Tensor


@dataclass
class Draw:
    """Truth, what the stem sees of it, and the hand to be mended."""

    rotations: Tensor
    betas: Tensor
    joints: Tensor
    places: Tensor
    evidence: LandmarkEvidence
    hand: Hand


def camera_of(joints: Tensor, keypoints: Tensor) -> Tensor:
    """(B, 3) crop cameras that show joints (B, 21, 3) at keypoints (B, 21, 3) best.

    ``x (Z + D) = F (X + tx)`` is linear in the distance D, tx and ty.
    """
    flat, weight = keypoints[..., :2], keypoints[..., 2].sqrt()
    left = torch.zeros(len(joints), 21, 2, 3)
    left[..., 0] = flat
    left[..., 0, 1] = left[..., 1, 2] = -CROP_FOCAL
    right = CROP_FOCAL * joints[..., :2] - flat * joints[..., 2:]
    left, right = left * weight[..., None, None], right * weight[..., None]
    found = torch.linalg.lstsq(left.flatten(1, 2), right.flatten(1)[..., None]).solution[..., 0]
    return torch.cat((2 * CROP_FOCAL / found[:, :1], found[:, 1:]), dim=1)


@torch.inference_mode()
def keep_errors(
    network: HandNetwork, shards: str, augment: AugmentConfig, seed: int, most: int | None = None
) -> Errors:
    """Run a network over augmented crops with parameters, at most so many."""
    network.eval()
    read: list[LandmarkEvidence] = []
    listening = network.trunk.register_forward_hook(lambda _, __, out: read.append(out.evidence))
    kept: list[Errors] = []
    stream, number = islice(iterate_samples(shards), most), 0
    while samples := list(islice(stream, 48)):
        keys = [(seed, number + i) for i in range(len(samples))]
        number += len(samples)
        batch = make_batch(samples, network.config, augment, keys)
        output = network(batch.crops.to(memory_format=torch.channels_last))
        seen = read.pop()
        truth = complete_targets(batch.targets, network.hand).known
        rotations = torch.cat((truth.global_orient[:, None], truth.hand_pose), dim=1)
        joints = network.hand(truth.global_orient, truth.hand_pose, truth.betas).joints
        cam = camera_of(joints, truth.keypoints_2d)
        places = project_crop(joints, cam)
        weight = truth.keypoints_2d[..., 2]
        off = (places - truth.keypoints_2d[..., :2]).norm(dim=-1) * weight
        good = (truth.has_parameters > 0) & (off.sum(1) / weight.sum(1) < WORST_FIT)
        orient, palm = rotations[:, 0], joints[:, PALM, :2].mean(1)
        lifted = 2 * (seen.points - places) / cam[:, :1, None]
        found = rotation_6d_to_matrix(output.pose6d.view(-1, 16, 6))
        found_palm = output.joints[:, PALM, :2].mean(1) + output.cam[:, 1:]
        place = palm + cam[:, 1:]
        errors = Errors(
            rotations=rotations,
            betas=truth.betas,
            cam=torch.cat((cam[:, :1], place), dim=1),
            turns=rotations.transpose(-1, -2) @ found,
            lengths=output.pose6d.view(-1, 16, 2, 3).norm(dim=-1),
            betas_off=output.betas - truth.betas,
            zoom=output.cam[:, 0] / cam[:, 0],
            palm_off=found_palm - place,
            flat=torch.nn.functional.pad(lifted, (0, 1)) @ orient,
            deep=(seen.joints - (joints - joints[:, :1])) @ orient,
        )
        kept.append(errors.rows(good))
    listening.remove()
    return Errors(*(torch.cat([getattr(e, f.name) for e in kept]) for f in fields(Errors)))


def draw(errors: Errors, hand: HandLayer, swapped: float, generator: torch.Generator) -> Draw:
    """Hands with errors; a share of them with other fingers, another orientation and distance."""
    count = len(errors.betas)

    def chance(share: float) -> Tensor:
        return torch.rand(count, generator=generator) < share

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator)

    def others() -> Tensor:
        return errors.rotations[torch.randint(count, (count,), generator=generator)]

    changed = chance(swapped)
    rotations = errors.rotations.clone()
    for first in range(1, 16, 3):  # MANO's joints come finger by finger
        finger, take = slice(first, first + 3), changed & chance(0.5)
        rotations[take, finger] = others()[take, finger]
    take = changed & chance(0.5)
    rotations[take, 0] = others()[take, 0]
    much = changed[:, None, None].float()
    rotations = rotations @ roma.rotvec_to_rotmat(normal(16, 3) * 0.08 * much)
    roll = torch.nn.functional.pad(normal(1) * 0.35 * much[..., 0], (2, 0))
    rotations[:, 0] = roma.rotvec_to_rotmat(roll) @ rotations[:, 0]
    joints = hand(rotations[:, 0], rotations[:, 1:], errors.betas).joints
    scale = errors.cam[:, :1] * (normal(1) * 0.1 * much[..., 0]).exp()
    place = errors.cam[:, 1:]
    cam = torch.cat((scale, place - joints[:, PALM, :2].mean(1)), dim=1)
    places = project_crop(joints, cam)
    back = rotations[:, 0].transpose(1, 2)
    strength = torch.where(
        changed, torch.empty(count).uniform_(0.5, 1.2, generator=generator), torch.ones(count)
    )[:, None, None]
    evidence = LandmarkEvidence(
        places + ((errors.flat * strength) @ back)[..., :2] * scale[..., None] / 2,
        joints - joints[:, :1] + (errors.deep * strength) @ back,
    )
    columns = matrix_to_rotation_6d(rotations @ errors.turns).view(-1, 16, 2, 3)
    wrong = Hand(
        (columns * errors.lengths[..., None]).flatten(1),
        errors.betas + errors.betas_off,
        torch.cat((scale * errors.zoom[:, None], place + errors.palm_off), dim=1),
    )
    return Draw(rotations, errors.betas, joints, places, evidence, wrong)


def mend(fit: SeenFit, drawn: Draw, layer: HandLayer, rounds: int = ROUNDS):
    """The hand after some rounds: rotations, joints, projected joints, betas."""
    hand = drawn.hand
    for left in range(rounds, -1, -1):
        rotations = rotation_6d_to_matrix(hand.pose6d.view(-1, 16, 6))
        joints = layer(rotations[:, 0], rotations[:, 1:], hand.betas).joints
        cam = torch.cat((hand.head[:, :1], hand.head[:, 1:] - joints[:, PALM, :2].mean(1)), dim=1)
        places = project_crop(joints, cam)
        if left:
            more = fit(
                drawn.evidence, rotations[:, 0], hand.pose6d, hand.betas, cam, joints, places
            )
            state = (hand.pose6d, hand.betas, hand.head)
            hand = Hand(*(a + b for a, b in zip(state, more, strict=True)))
    return rotations, joints, places, hand.betas


def cost(fit: SeenFit, drawn: Draw, layer: HandLayer) -> Tensor:
    """As in training with pictures: articulation, joints, 2D, pose, orientation and shape."""
    rotations, joints, places, betas = mend(fit, drawn, layer)
    found, true = joints - joints[:, :1], drawn.joints - drawn.joints[:, :1]
    own = found @ rotations[:, 0] - true @ drawn.rotations[:, 0]
    turned = (rotations - drawn.rotations).square()
    return (
        20 * own.abs().mean()
        + 10 * (found - true).abs().mean()
        + 4 * (places - drawn.places).abs().mean()
        + 2 * turned[:, 1:].mean()
        + 0.3 * turned[:, 0].mean()
        + 0.02 * (betas - drawn.betas).square().mean()
    )


@torch.no_grad()
def report(name: str, fit: SeenFit, errors: Errors, layer: HandLayer, box_scale: float) -> None:
    drawn = draw(errors, layer, 0.0, torch.Generator().manual_seed(0))
    for when, rounds in (("before", 0), ("after", ROUNDS)):
        _, joints, places, _ = mend(fit, drawn, layer, rounds)
        off = (places - drawn.places).norm(dim=-1).mean() * box_scale
        pose = pa_errors(joints.numpy(), drawn.joints.numpy()).mean()
        print(f"{name} {when}: PA-MPJPE {pose:.2f} mm, 2D {100 * off:.2f} % of the box", flush=True)


def batches(sets: list[Errors], generator: torch.Generator) -> Iterator[Errors]:
    while True:
        parts = [
            errors.rows(
                torch.randint(len(errors.betas), (BATCH // len(sets),), generator=generator)
            )
            for errors in sets
        ]
        yield Errors(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Errors)))


def teach(fit: SeenFit, sets: Iterable[Errors], layer: HandLayer, minutes: float) -> None:
    generator = torch.Generator().manual_seed(1)
    optimiser = torch.optim.AdamW(fit.parameters(), LR, weight_decay=1e-3)
    began = time.time()
    for step, errors in enumerate(batches(list(sets), generator), start=1):
        done = (time.time() - began) / 60 / minutes
        if done >= 1:
            print(f"{step - 1} steps of {BATCH} hands")
            return
        for group in optimiser.param_groups:
            cosine = 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2
            group["lr"] = LR * min(1, step / 100) * cosine
        optimiser.zero_grad()
        cost(fit, draw(errors, layer, SWAPPED, generator), layer).backward()
        torch.nn.utils.clip_grad_norm_(fit.parameters(), 1.0)
        optimiser.step()


def main() -> None:
    keys = key_words(__doc__)
    keep_freed_memory()
    torch.manual_seed(0)
    network = load_network(keys["weights"]).to(memory_format=torch.channels_last)
    plain = replace(network.config, seen_rounds=0)
    network.config = plain
    augment = AugmentConfig(mirror_probability=0.0)
    most = int(keys["samples"]) if "samples" in keys else None
    sets = {name: keep_errors(network, name, augment, 5, most) for name in keys["data"].split(",")}
    held = {name: keep_errors(network, name, augment, 6) for name in keys["val"].split(",")}
    result = HandNetwork(replace(plain, seen_rounds=ROUNDS), load_hand_model())
    result.load_state_dict(network.state_dict(), strict=False)
    assert result.seen_fit is not None
    teach(result.seen_fit, sets.values(), network.hand, float(keys.get("minutes", 9)))
    for name, errors in held.items():
        report(name, result.seen_fit, errors, network.hand, plain.box_scale)
    info = {**read_info(keys["weights"]), "seen_fit_minutes": float(keys.get("minutes", 9))}
    save_network(keys["out"], result, info)


if __name__ == "__main__":
    main()
