"""One optimiser step of a training: all losses backwards, in parts if asked, then the judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import HandError
from .batches import HandBatch
from .discriminator import discriminator_loss
from .ema import MovingAverage
from .network import HandNetwork
from .objective import Cost, Objective, bad_samples
from .optimisation import set_learning_rates
from .priors import draw_prior
from .processes import Agreement, batch_statistics
from .train_config import TrainConfig

__all__ = ["Optimised", "TrainStep", "scaler_state"]

# Steps in a row with bad numbers, or skipped by the fp16 scaler, after which a run stops anyway.
_MOST_BAD_STEPS = 50


@dataclass
class Optimised:
    """A module, the same wrapped by Fabric, and the optimiser of its parameters."""

    module: nn.Module
    wrapped: nn.Module
    optimiser: Any


class TrainStep:
    """Called once a step, in every process."""

    def __init__(
        self,
        config: TrainConfig,
        fabric: Any,
        agreement: Agreement,
        objective: Objective,
        trained: Optimised,
        judge: Optimised,
        average: MovingAverage[HandNetwork],
        prior: np.ndarray,
        say: Callable[[object], None],
    ) -> None:
        """Put together.

        Args:
            config: of the run.
            fabric: Lightning's, launched.
            agreement: of the processes.
            objective: what is minimised.
            trained: the network (its training aid may be in the wrapped one).
            judge: the discriminator.
            average: follows the network.
            prior: (M, 55) what the judge takes for real.
            say: prints a line.
        """
        self.config = config
        self._fabric, self._agreement, self._objective = fabric, agreement, objective
        self._trained, self._judge, self._average = trained, judge, average
        self._prior, self._say = prior, say
        self._bad_steps = 0

    def __call__(self, batch: HandBatch, step: int, progress: float) -> dict[str, float]:
        """Train on a batch.

        Args:
            batch: of this process.
            step: 0-based, of the run.
            progress: 0..1 of the run.

        Returns:
            Losses and the gradient's norm; empty when the step was left out.

        Raises:
            HandError: numbers that are not finite, as configured; samples and shards are named.
        """
        config, fabric = self.config, self._fabric
        # Dropped paths depend on (seed, step, process), not on how often the run was interrupted.
        seed = config.seed * 1_000_003 + step * fabric.world_size + fabric.global_rank
        torch.manual_seed(seed)
        factor = config.lr_factor(step, progress)
        set_learning_rates(self._trained.optimiser, factor)
        set_learning_rates(self._judge.optimiser, factor)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        kept = batch_statistics(self._trained.module) if config.on_bad == "skip" else {}
        self._trained.optimiser.zero_grad(set_to_none=True)
        parts = batch.parts(config.accumulate) if config.accumulate > 1 else [batch]
        costs: list[Cost] = []
        numbers: dict[str, float] = defaultdict(float)
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            with fabric.no_backward_sync(self._trained.wrapped, enabled=not last):
                crops = part.crops.to(fabric.device, memory_format=layout)
                cost = self._objective(self._trained.wrapped, crops, part)
                if self._agreement.any(not torch.isfinite(cost.total)):
                    return self._bad_numbers(step, "the loss", [cost], [part], kept)
                fabric.backward(cost.total / len(parts))
            costs.append(cost)
            numbers["loss"] += float(cost.total.detach()) / len(parts)
            for name, value in cost.numbers.items():
                numbers[name] += value / len(parts)
        limit = config.clip_norm or float("inf")
        norm = fabric.clip_gradients(
            self._trained.wrapped, self._trained.optimiser, max_norm=limit, error_if_nonfinite=False
        )
        if not torch.isfinite(norm) and not scaler_state(fabric):
            return self._bad_numbers(step, "the gradient", costs, parts, kept)
        overflowed = not torch.isfinite(norm)  # the fp16 scaler skips the step and halves its scale
        self._bad_steps = self._bad_steps + 1 if overflowed else 0
        if self._bad_steps > _MOST_BAD_STEPS:
            self._bad_numbers(step, "the gradient", costs, parts, kept)
        self._trained.optimiser.step()
        if self._objective.judged:
            poses = torch.cat([cost.output.hand_pose.detach() for cost in costs])
            betas = torch.cat([cost.output.betas.detach() for cost in costs])
            numbers |= self._train_judge(step, poses, betas)
        self._average.update(self._trained.module)
        return {**numbers, "gradient": 0.0 if overflowed else float(norm)}

    def _train_judge(self, step: int, hand_pose: Tensor, betas: Tensor) -> dict[str, float]:
        rng = np.random.default_rng((self.config.seed, step, self._fabric.global_rank))
        count, device = len(hand_pose), self._fabric.device
        real_pose, real_betas = draw_prior(self._prior, count, rng)
        scores = self._judge.wrapped(
            torch.cat((real_pose.to(device), hand_pose)), torch.cat((real_betas.to(device), betas))
        )
        loss = discriminator_loss(scores[:count], scores[count:])
        self._judge.optimiser.zero_grad(set_to_none=True)
        if self._agreement.any(not torch.isfinite(loss)):
            where = f"the discriminator's loss is not finite at step {step}"
            if self.config.on_bad == "stop":
                raise HandError(f"{where}. Check prior=, lower lr, or leave it out: on_bad=skip.")
            self._say(f"{where}; its step skipped")
            return {}
        self._fabric.backward(loss)
        self._judge.optimiser.step()
        return {"judge": float(loss.detach())}

    def _bad_numbers(
        self,
        step: int,
        what: str,
        costs: list[Cost],
        parts: list[HandBatch],
        kept: dict[str, Tensor],
    ) -> dict[str, float]:
        """Stop, or go back to before the step and leave it out; the same in all processes."""
        pairs = zip(parts, costs, strict=True)
        bad = [name for part, cost in pairs for name in bad_samples(part, cost.output)]
        whole = [name for part in parts for name in part.names()]
        named = self._agreement.all_names(bad) or self._agreement.all_names(whole)
        where = f"{what} is not finite at step {step}; samples: {', '.join(named)}"
        self._bad_steps += 1
        if self.config.on_bad == "stop" or self._bad_steps > _MOST_BAD_STEPS:
            raise HandError(
                f"{where}. Nothing was saved since the last checkpoint in {self.config.out}; look "
                "at these samples, lower lr, or go on without such steps: on_bad=skip."
            )
        self._say(f"{where}; step skipped")
        with torch.no_grad():
            for name, buffer in self._trained.module.named_buffers():
                if name in kept:
                    buffer.copy_(kept[name])
        self._trained.optimiser.zero_grad(set_to_none=True)
        return {}


def scaler_state(fabric: Any) -> dict[str, Any]:
    """Of the fp16 loss scaler; empty with other precisions."""
    return dict(fabric.strategy.precision.state_dict())
