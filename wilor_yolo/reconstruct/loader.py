"""Batches ahead of time: threads prepare the next steps while the network trains.

OpenCV and torch release Python's lock, so threads suffice and memory is shared.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ..errors import HandError
from ..samples import EncodedSample, HandSample
from .augment import AugmentConfig
from .batches import HandBatch, make_batch
from .config import NetworkConfig
from .mixing import MixSchedule, SampleStore

__all__ = ["BatchLoader"]

# Damaged samples in a row after which skipping gives up.
_MOST_IN_A_ROW = 100


class BatchLoader:
    """Endless batches from a step on; the same (seed, step, shards) gives the same batch.

    Attributes:
        store: the samples as of the newest prepared batch.
    """

    def __init__(
        self,
        store: SampleStore,
        network: NetworkConfig,
        augment: AugmentConfig | None,
        batch_size: int,
        seed: int,
        rescan_steps: int = 0,
        workers: int = 1,
        rank: int = 0,
        world: int = 1,
        skip_bad: bool = False,
        agree: Callable[[list[list[Path]]], list[list[Path]]] | None = None,
        plain_from: int | None = None,
    ) -> None:
        """Prepare.

        Args:
            store: samples.
            network: crop geometry.
            augment: None for none.
            batch_size: samples a step and process.
            seed: of order and augmentation.
            rescan_steps: look for new shards before every step divisible by this; 0: never.
            workers: threads; 0 makes each batch when it is asked for.
            rank, world: this process and their number; they share each step's samples.
            skip_bad: a damaged sample is named in a warning, and the next one of its group takes
                its place; else it is an error.
            agree: with several processes, gives all of them the first one's list of shards.
            plain_from: no augmentation from this step on.
        """
        self.store = store
        self._network, self._augment = network, augment
        self._batch_size, self._seed = batch_size, seed
        self._rescan_steps, self._workers = rescan_steps, workers
        self._rank, self._world = rank, world
        self._skip_bad, self._agree = skip_bad, agree
        self._plain_from = plain_from
        self._named: set[tuple[int, int]] = set()
        self._schedule = self._plan(store)
        self._history: deque[tuple[int, SampleStore]] = deque([(0, store)])

    def batches(self, first_step: int) -> Generator[HandBatch, None, None]:
        """Batches of steps `first_step`, `first_step` + 1, ..."""
        if self._workers == 0:
            step, job = first_step, self._job(first_step, first_step)
            while True:
                batch = job()
                step += 1
                # Planned a step ahead, as with threads: a checkpoint knows the next step's shards.
                job = self._job(step, first_step)
                yield batch
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="batch")
        waiting: deque[Future[HandBatch]] = deque()
        step = first_step
        try:
            while True:
                while len(waiting) < self._workers + 1:
                    waiting.append(pool.submit(self._job(step, first_step)))
                    step += 1
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def store_at(self, step: int) -> SampleStore:
        """The samples that the batch of a step was drawn from (recent steps only)."""
        result = self._history[0][1]
        for first, store in self._history:
            if first <= step:
                result = store
        return result

    def _plan(self, store: SampleStore) -> MixSchedule:
        return MixSchedule(store.sizes, [group.weight for group in store.groups], self._seed)

    def _job(self, step: int, first_step: int):  # a closure for the pool
        # Not at the first step of a run: a resumed run keeps its checkpoint's shards until the
        # next boundary, as the uninterrupted one did.
        if self._rescan_steps and step % self._rescan_steps == 0 and step > first_step:
            listing = self.store.listing()
            store = self.store.rescanned(self._agree(listing) if self._agree else listing)
            if store is not self.store:
                self.store, self._schedule = store, self._plan(store)
                self._history.append((step, store))
                while len(self._history) > 8:
                    self._history.popleft()
        store, schedule = self.store, self._schedule
        total = self._batch_size * self._world
        first = step * total + self._rank
        positions = range(first, (step + 1) * total, self._world)

        def make() -> HandBatch:
            chosen = [self._sample(store, *schedule.draw(position)) for position in positions]
            rng_keys = [(self._seed, position) for position in positions]
            samples = [sample for sample, _ in chosen]
            plain = self._plain_from is not None and step >= self._plain_from
            batch = make_batch(samples, self._network, None if plain else self._augment, rng_keys)
            batch.shards = [str(shard) for _, shard in chosen]
            return batch

        return make

    def _sample(self, store: SampleStore, group: int, index: int) -> tuple[HandSample, Path]:
        """A decoded sample and its shard; which one takes a bad one's place is always the same."""
        size = store.sizes[group]
        for step in range(min(size, _MOST_IN_A_ROW)):
            place = (index + step) % size
            encoded: EncodedSample = store.get(group, place)
            shard = store.shard_of(group, place)
            try:
                return encoded.decode(), shard
            except HandError as error:
                if not self._skip_bad:
                    raise HandError(f"{shard}: {error}; on_bad=skip goes on without it.") from None
                if (group, place) not in self._named:
                    self._named.add((group, place))
                    warnings.warn(f"{shard}: {error}; skipped", stacklevel=2)
        raise HandError(
            f"{store.groups[group].path}: {min(size, _MOST_IN_A_ROW)} damaged samples in a row."
        )
