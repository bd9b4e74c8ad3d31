"""Train a `HandNetwork` (paper 4.2, Eq. 8) with Lightning Fabric: one process or several."""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from ..errors import HandError
from ..mano.files import load_hand_model
from .auxiliary import AidedNetwork, KeypointMaps, keypoint_map_losses
from .batches import HandBatch
from .checkpoints import load_network, save_network
from .config import NetworkConfig
from .discriminator import PoseDiscriminator, discriminator_loss, generator_loss
from .ema import MovingAverage
from .initialise import initialise_stem
from .loader import BatchLoader
from .losses import coarse_losses, complete_targets, network_losses
from .mixing import SampleStore
from .network import HandNetwork, NetworkOutput
from .optimisation import freeze, frozen_to_eval, parameter_groups, set_learning_rates
from .priors import collect_prior, draw_prior
from .run_files import RunLog, TrainState, load_state, save_state
from .stopping import StopRequest
from .train_config import TrainConfig
from .validation import SourceErrors, score, validate

__all__ = ["ReconstructorTrainer", "TrainResult"]


@dataclass(frozen=True)
class TrainResult:
    """What a run reached.

    Attributes:
        step: optimiser steps done.
        weights: the shipped form of the averaged network, `out`/final.safetensors.
        errors: the last validation, by source.
        crops_per_second: training speed of this session, validation and saving left out.
    """

    step: int
    weights: Path
    errors: dict[str, SourceErrors]
    crops_per_second: float


class ReconstructorTrainer:
    """One training run. Call :meth:`fit`; afterwards `average.module` is the trained network."""

    def __init__(self, config: TrainConfig) -> None:
        """Read the data, build the network, and load `out`/last.pt when resuming.

        Raises:
            HandError: no data, an unknown network, or a checkpoint of another run.
        """
        try:
            from lightning_fabric import Fabric
        except ImportError:
            raise HandError(
                'training needs Lightning Fabric; run: pip install "wilor-yolo[train]"'
            ) from None
        if config.threads:
            torch.set_num_threads(config.threads)
        self.config = config
        self.out = Path(config.out)
        self.fabric = Fabric(
            accelerator=config.accelerator,
            devices=config.devices,
            strategy=config.strategy,
            precision=config.precision,  # type: ignore[arg-type]
        )
        self.fabric.launch()
        torch.manual_seed(config.seed)
        state = self._previous_state()
        shards = None
        if state is not None:
            shards = [[Path(name) for name in names] for names in state.shards]
        self.store = SampleStore(config.data, shards)
        self.val_samples = (
            SampleStore(config.val, limit=config.val_samples).samples() if config.val else []
        )
        self.network_config = NetworkConfig.from_yaml(config.network)
        self.network = HandNetwork(self.network_config, load_hand_model(config.hand_model))
        if config.init and state is None:
            self._say(_start_from(self.network, Path(config.init)))
        freeze(self.network, config.frozen)
        # A run begun without the training aid goes on without it.
        aided = bool(config.losses.maps) and (state is None or bool(state.maps))
        aided &= not self.network_config.keypoints  # which have maps of their own
        self.maps = KeypointMaps(self.network_config.dim) if aided else None
        self.judge = PoseDiscriminator()
        self.average = MovingAverage(self.network, config.ema_decay)
        self._set_up_optimisers()
        self.step, self.seconds = 0, 0.0
        self.best: float | None = None
        self.last_errors: dict[str, SourceErrors] = {}
        if state is None:
            self.prior = collect_prior(self.store.samples())
        else:
            self._restore(state)
        self._hashed: tuple[SampleStore, str] | None = None

    # -- the run ---------------------------------------------------------------------------------

    def fit(self) -> TrainResult:
        """Train to the end of the schedule.

        Returns:
            What was reached.

        Raises:
            HandError: a loss or gradient is not finite; the samples are named and the last
                checkpoint is left as it was.
            KeyboardInterrupt: after Ctrl-C or SIGTERM, when the step is done and a checkpoint
                saved; a second signal does not wait.
        """
        with StopRequest() as stop:
            return self._fit(stop)

    def _fit(self, stop: StopRequest) -> TrainResult:
        config = self.config
        self._write_config()
        log = RunLog(self.out / "log.csv")
        if self.fabric.is_global_zero:
            log.keep_until(self.step)
        loader = BatchLoader(
            self.store,
            self.network_config,
            config.augment,
            config.batch_size,
            config.seed,
            config.rescan_steps,
            config.workers,
            self.fabric.global_rank,
            self.fabric.world_size,
        )
        self._say(
            f"{sum(p.numel() for p in self.network.parameters()) / 1e6:.2f} M parameters, "
            f"{len(self.store)} samples {self.store.sizes}, from step {self.step}"
        )
        batches = loader.batches(self.step)
        sums: dict[str, float] = defaultdict(float)
        saved = validated = logged = time.perf_counter()
        session_crops, session_seconds, last_logged = 0, 0.0, self.step
        try:
            while not self._finished():
                began = time.perf_counter()
                batch = next(batches)
                for name, value in self._train_step(batch).items():
                    sums[name] += value
                took = time.perf_counter() - began
                self.seconds += took
                session_seconds += took
                session_crops += len(batch.keys) * self.fabric.world_size
                if self.step % config.log_steps == 0:
                    count = self.step - last_logged
                    means = {name: value / count for name, value in sums.items()}
                    speed = count * config.batch_size / max(time.perf_counter() - logged, 1e-9)
                    self._log(log, means, speed)
                    sums.clear()
                    logged, last_logged = time.perf_counter(), self.step
                now = time.perf_counter()
                if now - validated > config.validate_minutes * 60:
                    self._validate(log)
                    validated = time.perf_counter()
                if now - saved > config.checkpoint_minutes * 60 or stop.requested:
                    self._save(loader)
                    saved = time.perf_counter()
                if stop.requested:
                    self._say(f"stopped at step {self.step}; resume=true continues")
                    raise KeyboardInterrupt
        finally:
            batches.close()
        self._save(loader)
        self._validate(log)
        final = self.out / "final.safetensors"
        if self.fabric.is_global_zero:
            save_network(final, self.average.module, self._provenance(loader))
        self._say(f"done: {final}")
        return TrainResult(
            self.step, final, self.last_errors, session_crops / max(session_seconds, 1e-9)
        )

    def _train_step(self, batch: HandBatch) -> dict[str, float]:
        config, weights = self.config, self.config.losses
        # Dropped paths depend on (seed, step), not on how often the run was interrupted.
        torch.manual_seed(config.seed * 1_000_003 + self.step * self.fabric.world_size)
        factor = config.lr_factor(self.step, self._progress())
        set_learning_rates(self._optimiser, factor)
        set_learning_rates(self._judge_optimiser, factor)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        crops = batch.crops.to(self.fabric.device, memory_format=layout)
        targets = complete_targets(batch.targets.to(self.fabric.device), self.network.hand)
        seen = self._wrapped(crops)
        output: NetworkOutput = seen[0] if self.maps is not None else seen
        terms = network_losses(output, targets)
        total = terms.total(weights)
        numbers = terms.numbers()
        if self.maps is not None or output.evidence is not None:
            if output.evidence is not None:
                maps, frame = output.evidence, self.network.trunk.stem.fine_frame
                log_heat, depths = maps.log_heat, maps.depths
            else:
                (_, log_heat, depths), frame = seen, self.network.trunk.frame
            heat, depth = keypoint_map_losses(log_heat, depths, targets.known, frame)
            total = total + weights.maps * heat + weights.map_depths * depth
            numbers["maps"], numbers["map_depths"] = float(heat.detach()), float(depth.detach())
        if weights.coarse:
            coarse = coarse_losses(output.coarse, self.network.hand, targets)
            total = total + weights.coarse * coarse.total(weights)
            numbers["coarse_keypoints_2d"] = float(coarse.keypoints_2d.detach())
            numbers["coarse_joints_3d"] = float(coarse.joints_3d.detach())
        adversarial = bool(weights.adversarial) and len(self.prior) > 0
        if adversarial:
            fooled = generator_loss(self._wrapped_judge(output.hand_pose, output.betas))
            total = total + weights.adversarial * fooled
            numbers["adversarial"] = float(fooled.detach())
        if not torch.isfinite(total):
            self._stop_bad("the loss", output, batch)
        self._optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(total)
        norm = nn.utils.clip_grad_norm_(
            self._wrapped.parameters(), config.clip_norm or float("inf")
        )
        if not torch.isfinite(norm):
            self._stop_bad("the gradient", output, batch)
        self._optimiser.step()
        if adversarial:
            numbers["judge"] = self._train_judge(output.hand_pose.detach(), output.betas.detach())
        self.average.update(self.network)
        self.step += 1
        return {"loss": float(total.detach()), "gradient": float(norm), **numbers}

    def _train_judge(self, hand_pose: Tensor, betas: Tensor) -> float:
        rng = np.random.default_rng((self.config.seed, self.step, self.fabric.global_rank))
        real_pose, real_betas = draw_prior(self.prior, len(hand_pose), rng)
        device = self.fabric.device
        real = self._wrapped_judge(real_pose.to(device), real_betas.to(device))
        loss = discriminator_loss(real, self._wrapped_judge(hand_pose, betas))
        self._judge_optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self._judge_optimiser.step()
        return float(loss.detach())

    # -- set-up and state ------------------------------------------------------------------------

    def _set_up_optimisers(self) -> None:
        config = self.config
        trained: nn.Module = self.network
        pretrained = config.pretrained
        if self.maps is not None:
            trained = AidedNetwork(self.network, self.maps)
            pretrained = tuple(f"network.{prefix}" for prefix in pretrained)
        groups = parameter_groups(
            trained, config.lr, config.weight_decay, pretrained, config.pretrained_lr
        )
        optimiser = torch.optim.AdamW(groups, lr=config.lr)
        judge_optimiser = torch.optim.AdamW(self.judge.parameters(), lr=config.lr, weight_decay=0)
        for group in judge_optimiser.param_groups:
            group["base_lr"] = config.lr
        if config.channels_last:
            trained.to(memory_format=torch.channels_last)
        self._wrapped, self._optimiser = self.fabric.setup(trained, optimiser)
        self._wrapped_judge, self._judge_optimiser = self.fabric.setup(self.judge, judge_optimiser)
        self.average.module.to(self.fabric.device)
        self._wrapped.train()
        frozen_to_eval(self.network, config.frozen)

    def _previous_state(self) -> TrainState | None:
        path = self.out / "last.pt"
        if not path.is_file():
            return None
        if not self.config.resume:
            raise HandError(f"{path} exists; give resume=true, or another out= folder.")
        state = load_state(path)
        if state.network_config != NetworkConfig.from_yaml(self.config.network).to_dict():
            raise HandError(f"{path} holds another network; give another out= folder.")
        if [g["path"] for g in state.config["data"]] != [g.path for g in self.config.data]:
            raise HandError(f"{path} was trained on other data groups; give another out= folder.")
        return state

    def _restore(self, state: TrainState) -> None:
        self.network.load_state_dict(state.network)
        self.average.module.load_state_dict(state.average)
        self.average.updates = state.average_updates
        self._optimiser.load_state_dict(state.optimiser)
        if self.maps is not None:
            self.maps.load_state_dict(state.maps)
        self.judge.load_state_dict(state.judge)
        self._judge_optimiser.load_state_dict(state.judge_optimiser)
        self.step, self.seconds, self.best = state.step, state.seconds, state.best
        self.prior = state.prior.numpy()

    def _save(self, loader: BatchLoader) -> None:
        if not self.fabric.is_global_zero:
            return
        store = loader.store_at(self.step)
        save_state(
            self.out / "last.pt",
            TrainState(
                step=self.step,
                seconds=self.seconds,
                network=self.network.state_dict(),
                average=self.average.module.state_dict(),
                average_updates=self.average.updates,
                optimiser=self._optimiser.state_dict(),
                judge=self.judge.state_dict(),
                judge_optimiser=self._judge_optimiser.state_dict(),
                best=self.best,
                config=self.config.to_dict(),
                network_config=self.network_config.to_dict(),
                shards=[[str(path) for path in paths] for paths in store.shards],
                data_hash=self._data_hash(store),
                prior=torch.from_numpy(self.prior),
                maps={} if self.maps is None else self.maps.state_dict(),
            ),
        )

    def _validate(self, log: RunLog) -> None:
        if not self.val_samples or not self.fabric.is_global_zero:
            return
        module = self.average.module
        self.last_errors = validate(
            module, self.val_samples, channels_last=self.config.channels_last
        )
        for source, errors in self.last_errors.items():
            self._say(f"  val {source:14s} {errors}")
            numbers = {k: v for k, v in errors.numbers().items() if math.isfinite(v)}
            RunLog(self.out / "val.csv").append(
                {"step": self.step, "seconds": round(self.seconds), "source": source, **numbers}
            )
        reached = score(self.last_errors)
        if self.best is None or reached < self.best:
            self.best = reached
            save_network(
                self.out / "best.safetensors", module, {"step": self.step, "score": reached}
            )

    # -- small things ----------------------------------------------------------------------------

    def _progress(self) -> float:
        if self.config.minutes is not None:
            return self.seconds / (self.config.minutes * 60)
        return self.step / self.config.steps

    def _finished(self) -> bool:
        return self._progress() >= 1

    def _stop_bad(self, what: str, output: NetworkOutput, batch: HandBatch) -> None:
        # Batch norm spreads one bad sample over its batch: look at what went in first.
        inputs = [batch.crops, *vars(batch.targets).values()]
        good = torch.stack([_finite_rows(value) for value in inputs]).all(dim=0)
        if good.all():
            good = _finite_rows(output.vertices.detach()).cpu()
        named = [key for key, fine in zip(batch.keys, good.tolist(), strict=True) if not fine]
        where = ", ".join(named or batch.keys)
        raise HandError(
            f"{what} is not finite at step {self.step}; samples: {where}. Nothing was saved since "
            f"the last checkpoint in {self.out}; look at these samples, or lower lr."
        )

    def _log(self, log: RunLog, means: dict[str, float], speed: float) -> None:
        rate = self._optimiser.param_groups[-1]["lr"]
        self._say(
            f"step {self.step:6d} {100 * self._progress():5.1f} %  loss {means['loss']:.4f}  "
            f"3D {1000 * means['joints_3d']:.1f} mm  2D {100 * means['keypoints_2d']:.2f} % crop  "
            f"lr {rate:.1e}  {speed:.0f} crops/s  {self.seconds / 60:.1f} min"
        )
        if self.fabric.is_global_zero:
            row: dict[str, Any] = {"step": self.step, "seconds": round(self.seconds, 1)}
            log.append(row | {"lr": rate, "crops_per_s": round(speed, 1)} | means)

    def _provenance(self, loader: BatchLoader) -> dict[str, str | int | float]:
        return {
            "steps": self.step,
            "seed": self.config.seed,
            "minutes": round(self.seconds / 60, 1),
            "config_hash": self.config.hash(),
            "data_hash": self._data_hash(loader.store_at(self.step)),
            "samples": len(loader.store),
        }

    def _data_hash(self, store: SampleStore) -> str:
        if self._hashed is None or self._hashed[0] is not store:
            self._hashed = (store, store.hash())
        return self._hashed[1]

    def _write_config(self) -> None:
        if not self.fabric.is_global_zero:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        temporary = self.out / "config.yaml.tmp"
        temporary.write_text(yaml.safe_dump(self.config.to_dict(), sort_keys=False))
        os.replace(temporary, self.out / "config.yaml")

    def _say(self, text: object) -> None:
        if self.fabric.is_global_zero:
            print(text, flush=True)


def _finite_rows(value: Tensor) -> Tensor:
    return torch.isfinite(value).flatten(1).all(dim=1) if value.ndim > 1 else torch.isfinite(value)


def _start_from(network: HandNetwork, path: Path) -> str:
    if path.suffix == ".safetensors":
        network.load_state_dict(load_network(path).state_dict())
        return f"starts from {path}"
    taken = initialise_stem(network, path)
    left = f"; left as they were: {', '.join(taken.left)}" if taken.left else ""
    return f"stem starts from {path}: {len(taken.taken)} tensors{left}"
