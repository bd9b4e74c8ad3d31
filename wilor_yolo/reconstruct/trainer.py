"""Train a `HandNetwork` (paper 4.2, Eq. 8) with Lightning Fabric: one process or several."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import nn

from ..errors import HandError, one_line
from ..freed_memory import keep_freed_memory
from ..mano.files import load_hand_model
from ..samples import EncodedSample
from ..shards import find_shards
from ..whole_files import write_text
from .auxiliary import AidedNetwork, KeypointMaps
from .batches import HandBatch
from .checkpoints import hand_marks, save_network
from .config import NetworkConfig
from .discriminator import PoseDiscriminator
from .ema import MovingAverage
from .initialise import start_from
from .loader import BatchLoader
from .mixing import SampleStore
from .network import HandNetwork
from .objective import Objective
from .optimisation import freeze, frozen_to_eval, parameter_groups, restore_optimiser
from .priors import collect_prior, load_prior
from .processes import Agreement
from .recompute import recompute_blocks
from .released import load_released_discriminator_state
from .report import RunReport
from .resuming import kept_score, previous_state, refuse_changes
from .run_files import TrainState, save_state
from .step import Optimised, TrainStep, scaler_state
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
            from lightning_fabric.utilities.exceptions import MisconfigurationException
        except ImportError:
            raise HandError(
                'training needs Lightning Fabric; run: pip install "wilor-yolo[train]"'
            ) from None
        if config.threads:
            torch.set_num_threads(config.threads)
        self.config = config
        self.out = Path(config.out)
        if not (self.out / "last.pt").is_file():
            for group in config.data:
                find_shards(group.path)  # before processes are started that would find nothing
        try:
            self.fabric = Fabric(
                accelerator=config.accelerator,
                devices=config.devices,
                num_nodes=config.nodes,
                strategy=config.strategy,
                precision=config.precision,  # type: ignore[arg-type]
            )
        except (MisconfigurationException, RuntimeError, ValueError) as error:
            reason = one_line(error)
            raise HandError(
                f"Lightning cannot run accelerator={config.accelerator} devices={config.devices} "
                f"strategy={config.strategy} precision={config.precision} here ({reason}); "
                "accelerator=auto, devices=1 and strategy=auto run everywhere."
            ) from None
        self.fabric.launch()
        if self.fabric.device.type == "cpu":
            keep_freed_memory()
        self._agreement = Agreement(self.fabric)
        self.report = RunReport(self.out, quiet=not self.fabric.is_global_zero)
        torch.manual_seed(config.seed)
        hand_model = load_hand_model(config.hand_model)
        state = previous_state(config, hand_model)
        shards = None
        if state is not None:
            shards = [[Path(name) for name in names] for names in state.shards]
        strict = config.on_bad == "stop"
        self.store = SampleStore(config.data, shards, strict=strict)
        self.val_samples: list[EncodedSample] = []
        if config.val:
            held_out = SampleStore(config.val, limit=config.val_samples)
            # Now, not at the first validation, hours later.
            self.val_samples = list(held_out.checked(EncodedSample.decode, strict))
        self.network_config = NetworkConfig.from_yaml(config.network)
        self.network = HandNetwork(self.network_config, hand_model)
        if config.init and state is None:
            self.report.say(start_from(self.network, Path(config.init), hand_model))
        freeze(self.network, config.frozen)
        # A run begun without the training aid goes on without it.
        aided = bool(config.losses.maps) and (state is None or bool(state.maps))
        aided &= not self.network_config.keypoints  # which have maps of their own
        self.maps = KeypointMaps(self.network_config.dim) if aided else None
        self.judge = PoseDiscriminator()
        if config.discriminator and state is None:
            self.judge.load_released(load_released_discriminator_state(config.discriminator))
        self.prior: np.ndarray
        self.average = MovingAverage(self.network, config.ema_decay)
        self._set_up_optimisers()
        self.step, self.seconds = 0, 0.0
        self.best: float | None = None
        self.last_errors: dict[str, SourceErrors] = {}
        if state is not None:
            self._restore(state)
            if self._finished():
                refuse_changes(config, state)
        elif config.prior:
            self.prior = load_prior(Path(config.prior))
        else:
            known = self.store.checked(EncodedSample.read_parameters, strict)
            self.prior = collect_prior(known)
        aided, judged = self.maps is not None, bool(config.losses.adversarial and len(self.prior))
        judge = self.judge if judged else None
        self._one_step = TrainStep(
            config,
            self.fabric,
            self._agreement,
            Objective(config.losses, self.network, aided, judge),
            Optimised(self.network, self._wrapped, self._optimiser),
            Optimised(self.judge, self._wrapped_judge, self._judge_optimiser),
            self.average,
            self.prior,
            self.report.say,
        )
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
        self.report.open(self.step, config.tensorboard)
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
            skip_bad=config.on_bad == "skip",
            agree=self._agreement.first,
            plain_from=round(config.augment_until * config.steps)
            if config.augment_until < 1
            else None,
        )
        self.report.say(
            f"{sum(p.numel() for p in self.network.parameters()) / 1e6:.2f} M parameters, "
            f"{len(self.store)} samples {self.store.sizes}, from step {self.step}"
        )
        batches = loader.batches(self.step)
        numbers: dict[str, list[float]] = defaultdict(list)  # skipped steps add none
        saved = validated = logged = time.perf_counter()
        session_crops, session_seconds, last_logged = 0, 0.0, self.step
        try:
            while not self._finished():
                began = time.perf_counter()
                batch = next(batches)
                for name, value in self._train_step(batch).items():
                    numbers[name].append(value)
                took, stopped = self._agreement.tick(time.perf_counter() - began, stop.requested)
                self.seconds += took
                session_seconds += took
                session_crops += len(batch.keys) * self.fabric.world_size
                if self.step % config.log_steps == 0:
                    count = self.step - last_logged
                    means = {name: sum(found) / len(found) for name, found in numbers.items()}
                    crops = count * config.batch_size * self.fabric.world_size
                    speed = crops / max(time.perf_counter() - logged, 1e-9)
                    self.report.trained(
                        means,
                        step=self.step,
                        seconds=self.seconds,
                        progress=self._progress(),
                        rate=self._optimiser.param_groups[-1]["lr"],
                        crops_per_second=speed,
                    )
                    numbers.clear()
                    logged, last_logged = time.perf_counter(), self.step
                now = time.perf_counter()
                if now - validated > config.validate_minutes * 60:
                    self._validate()
                    validated = time.perf_counter()
                if now - saved > config.checkpoint_minutes * 60 or stopped:
                    self._save(loader, skip=config.on_bad == "skip" and not stopped)
                    saved = time.perf_counter()
                if stopped:
                    self.report.say(f"stopped at step {self.step}; resume=true continues")
                    raise KeyboardInterrupt
        finally:
            batches.close()
        self._save(loader)
        final = self.out / "final.safetensors"
        try:
            self._validate()
            self.report.close()
        finally:  # a validation that fails does not cost the network
            if self.fabric.is_global_zero:
                with self._writing(final, "the trained network"):
                    save_network(final, self.average.module, self._provenance(loader))
        self.report.say(f"done: {final}")
        return TrainResult(
            self.step, final, self.last_errors, session_crops / max(session_seconds, 1e-9)
        )

    def _train_step(self, batch: HandBatch) -> dict[str, float]:
        numbers = self._one_step(batch, self.step, self._progress())
        self.step += 1
        return numbers

    # -- set-up and state ------------------------------------------------------------------------

    def _set_up_optimisers(self) -> None:
        config = self.config
        trained: nn.Module = self.network
        pretrained = config.pretrained
        if self.maps is not None:
            trained = AidedNetwork(self.network, self.maps)
            pretrained = tuple(f"network.{prefix}" for prefix in pretrained)
        groups = parameter_groups(
            trained,
            config.lr,
            config.weight_decay,
            pretrained,
            config.pretrained_lr,
            config.layer_decay,
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
        if config.recompute:
            recompute_blocks(self.network)
        self._wrapped.train()
        frozen_to_eval(self.network, config.frozen)

    def _restore(self, state: TrainState) -> None:
        self.network.load_state_dict(state.network)
        self.average.module.load_state_dict(state.average)
        self.average.updates = state.average_updates
        restore_optimiser(self._optimiser, state.optimiser)
        if self.maps is not None:
            self.maps.load_state_dict(state.maps)
        self.judge.load_state_dict(state.judge)
        restore_optimiser(self._judge_optimiser, state.judge_optimiser)
        self.step, self.seconds = state.step, state.seconds
        self.best = kept_score(self.out / "best.safetensors", state.best)
        prior = state.prior.numpy()
        self.prior = prior[np.isfinite(prior).all(axis=1)]  # older runs took bad rows too
        if state.scaler:
            self.fabric.strategy.precision.load_state_dict(state.scaler)

    def _save(self, loader: BatchLoader, skip: bool = False) -> None:
        if not self.fabric.is_global_zero:
            return
        path = self.out / "last.pt"
        with self._writing(path, f"the checkpoint of step {self.step}", skip):
            save_state(path, self._state(loader.store_at(self.step)))

    @contextmanager
    def _writing(self, path: Path, what: str, skip: bool = False) -> Iterator[None]:
        """A disk that is full, in words: an error, or with `skip` a line."""
        try:
            yield
        except OSError as error:
            left = f"{path} is as it was" if path.is_file() else "there is none yet"
            reason = f"{what} cannot be written ({error.strerror or error}); {left}"
            if isinstance(error, (FileExistsError, NotADirectoryError)):
                raise HandError(f"{reason}; a file is in the way: give another out=.") from None
            if not skip:
                raise HandError(f"{reason}. Make room, then resume=true goes on.") from None
            self.report.say(f"{reason}; training goes on")

    def _state(self, store: SampleStore) -> TrainState:
        return TrainState(
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
            scaler=scaler_state(self.fabric),
            hand=hand_marks(self.network.hand),
        )

    def _validate(self) -> None:
        if not self.val_samples or not self.fabric.is_global_zero:
            return
        module, config = self.average.module, self.config
        self.last_errors = validate(module, self.val_samples, channels_last=config.channels_last)
        self.report.validated(self.last_errors, self.step, self.seconds)
        if config.val_pictures:
            self.report.pictures(module, self.val_samples, config.val_pictures, self.step)
        reached = score(self.last_errors)
        if self.best is None or reached < self.best:
            # Until a validation gives a number, the newest network is kept, without a score.
            known = {"score": reached} if math.isfinite(reached) else {}
            path = self.out / "best.safetensors"
            with self._writing(path, f"the best network, of step {self.step},", skip=True):
                save_network(path, module, {"step": self.step, **known})
                self.best = known.get("score")  # of what is on disk

    # -- small things ----------------------------------------------------------------------------

    def _progress(self) -> float:
        if self.config.minutes is not None:
            return self.seconds / (self.config.minutes * 60)
        return self.step / self.config.steps

    def _finished(self) -> bool:
        return self._progress() >= 1

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
        path = self.out / "config.yaml"
        with self._writing(path, "the configuration", skip=path.is_file()):
            self.out.mkdir(parents=True, exist_ok=True)
            write_text(path, yaml.safe_dump(self.config.to_dict(), sort_keys=False))
