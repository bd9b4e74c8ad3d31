"""Which sample comes when: several groups of shards mixed by weight, order a pure function of
(seed, position), so an interrupted training continues with exactly the samples it would have seen.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import HandError
from ..samples import EncodedSample
from ..shards import find_shards, read_shard

__all__ = ["DataGroup", "MixSchedule", "SampleStore"]

# Group shares are exact over this many consecutive samples.
_PERIOD = 1000


@dataclass(frozen=True)
class DataGroup:
    """Shards that are drawn from with one weight.

    Attributes:
        path: a shard, a folder of shards, or a glob pattern.
        weight: share in the mix relative to the other groups; None: the number of its samples.
    """

    path: str
    weight: float | None = None


class SampleStore:
    """All samples of the groups, JPEG bytes in memory; knows how to notice new shards.

    Stores are cheap to extend: :meth:`rescanned` reads only shards it has not read before and
    returns a new store, so that a batch being made from the old one is not disturbed.
    """

    def __init__(
        self,
        groups: Sequence[DataGroup],
        shards: Sequence[Sequence[Path]] | None = None,
        limit: int | None = None,
        known: dict[Path, list[EncodedSample]] | None = None,
        strict: bool = False,
    ) -> None:
        """Read the shards.

        Args:
            groups: at least one.
            shards: per group, exactly these shards instead of what lies on disk now (resume);
                those that are gone are named in a warning and left out.
            limit: keep at most this many samples a group (validation), an equal share of each
                shard, spread over it.
            known: shards already in memory.
            strict: a torn shard is an error; else a warning names it and its whole samples are
                taken.

        Raises:
            HandError: a group has no samples, or a torn shard and `strict`.
        """
        if not groups:
            raise HandError("no training data given; set data=[folder with .tar shards].")
        self.groups = tuple(groups)
        self._limit, self._strict = limit, strict
        self._known = dict(known or {})
        self.shards: list[list[Path]] = []
        self._samples: list[list[EncodedSample]] = []
        self._numbers: list[np.ndarray] = []  # of each sample's shard
        for i, group in enumerate(self.groups):
            paths = find_shards(group.path) if shards is None else self._present(shards[i])
            parts = self._read(paths) if limit is None else self._shares(paths, limit)
            samples = [sample for part in parts for sample in part]
            if not samples:
                raise HandError(f"{group.path}: no samples; give a folder that holds .tar shards.")
            self.shards.append(paths)
            self._samples.append(samples)
            self._numbers.append(np.repeat(np.arange(len(parts)), [len(part) for part in parts]))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Samples in each group."""
        return tuple(len(samples) for samples in self._samples)

    def __len__(self) -> int:
        return sum(self.sizes)

    def get(self, group: int, index: int) -> EncodedSample:
        """One sample."""
        return self._samples[group][index]

    def shard_of(self, group: int, index: int) -> Path:
        """The shard a sample lies in."""
        return self.shards[group][int(self._numbers[group][index])]

    def samples(self) -> list[EncodedSample]:
        """All samples, group by group."""
        return [sample for samples in self._samples for sample in samples]

    def checked(
        self, check: Callable[[EncodedSample], object], strict: bool
    ) -> Iterator[EncodedSample]:
        """The samples that a check lets pass, group by group.

        Args:
            check: raises HandError for a bad one.
            strict: the first bad one is an error; else a warning names each. Both with its shard.
        """
        for group, samples in enumerate(self._samples):
            for place, sample in enumerate(samples):
                try:
                    check(sample)
                except HandError as error:
                    message = f"{self.shard_of(group, place)}: {error}"
                    if strict:
                        raise HandError(f"{message}; on_bad=skip goes on without it.") from None
                    warnings.warn(f"{message}; skipped", stacklevel=2)
                else:
                    yield sample

    def listing(self) -> list[list[Path]]:
        """Per group the shards it has, and then those that have appeared since."""
        return [
            old + [path for path in find_shards(group.path) if path not in old]
            for group, old in zip(self.groups, self.shards, strict=True)
        ]

    def rescanned(self, listing: list[list[Path]] | None = None) -> SampleStore:
        """This store, or a larger one if new shards appeared (shards are never taken away).

        Args:
            listing: see :meth:`listing`; made here by default.
        """
        shards = self.listing() if listing is None else listing
        if shards == self.shards:
            return self
        return SampleStore(self.groups, shards, self._limit, self._known, self._strict)

    def hash(self) -> str:
        """Twelve hex digits over the names and samples of all shards, in order.

        Of what was read: the files may be gone by now.
        """
        digest = hashlib.sha256()
        for path in (path for paths in self.shards for path in paths):
            digest.update(path.name.encode())
            for sample in self._known[path]:
                for part in (sample.key.encode(), sample.jpeg, sample.label):
                    digest.update(part)
        return digest.hexdigest()[:12]

    def _read(self, paths: Sequence[Path]) -> list[list[EncodedSample]]:
        for path in paths:
            if path not in self._known:
                self._known[path] = list(read_shard(path, self._strict))
        return [self._known[path] for path in paths]

    def _shares(self, paths: Sequence[Path], limit: int) -> list[list[EncodedSample]]:
        """Per shard its share of `limit` samples; what short shards lack, the others give.

        A tar has no index, so a shard is read to its end to spread the share over it; but at
        most `limit` shards are, twice only those that give more, and only shares are kept.
        """
        parts: list[list[EncodedSample]] = [[] for _ in paths]
        used = np.linspace(0, len(paths) - 1, min(len(paths), limit)).round().astype(int)
        counts = []
        for number in used:
            samples = list(read_shard(paths[number], self._strict))
            counts.append(len(samples))
            parts[number] = _spread(samples, -(-limit // len(used)))
        for number, share in zip(used, _even_shares(counts, limit), strict=True):
            enough = share <= len(parts[number])
            samples = parts[number] if enough else list(read_shard(paths[number], self._strict))
            parts[number] = _spread(samples, share)
        return parts

    def _present(self, paths: Sequence[Path]) -> list[Path]:
        gone = [path for path in paths if path not in self._known and not path.is_file()]
        if gone:
            warnings.warn(
                f"shards of the checkpoint are gone: {', '.join(map(str, gone))}; the samples "
                "come in another order from here on.",
                stacklevel=3,
            )
        return [path for path in paths if path not in gone]


def _spread(samples: list[EncodedSample], count: int) -> list[EncodedSample]:
    """At most `count` of them, evenly."""
    chosen = np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)
    return [samples[i] for i in chosen]


def _even_shares(counts: Sequence[int], limit: int) -> list[int]:
    """How many each gives so that they are `limit` together, or all, and as equal as can be."""
    shares = [0] * len(counts)
    left = limit
    for done, i in enumerate(sorted(range(len(counts)), key=lambda i: counts[i])):
        shares[i] = min(counts[i], left // (len(counts) - done))
        left -= shares[i]
    return shares


class MixSchedule:
    """Maps the running number of a drawn sample to (group, index in the group).

    Each group is walked through in a fresh random order per round. Groups interleave evenly:
    every batch has nearly the shares of the whole.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float | None], seed: int) -> None:
        """Plan.

        Args:
            sizes: samples in each group.
            weights: see `DataGroup.weight`.
            seed: order of the samples.

        Raises:
            HandError: a weight is not positive.
        """
        shares = np.array(
            [n if w is None else w for n, w in zip(sizes, weights, strict=True)], float
        )
        mixed = {w is None for w in weights}
        if len(mixed) > 1:
            raise HandError("give every data group a weight, or none of them.")
        if (shares <= 0).any():
            raise HandError(f"data weights must be positive, got {list(weights)}.")
        self.sizes = tuple(sizes)
        self.seed = seed
        exact = shares / shares.sum() * _PERIOD
        counts = np.maximum(np.floor(exact).astype(int), 1)
        for i in np.argsort(counts - exact):  # most underserved first
            if counts.sum() < _PERIOD:
                counts[i] += 1
        while counts.sum() > _PERIOD:
            counts[counts.argmax()] -= 1
        # Group k's i-th sample belongs at (i + 1/2) / count of the period.
        times = np.concatenate([(np.arange(c) + 0.5) / c for c in counts])
        owner = np.repeat(np.arange(len(counts)), counts)
        self._owner = owner[np.argsort(times, kind="stable")]
        self._counts = counts
        # _before[p, k]: samples of group k before position p of a period.
        self._before = np.zeros((_PERIOD, len(counts)), int)
        for k in range(len(counts)):
            self._before[1:, k] = np.cumsum(self._owner == k)[:-1]
        self._orders: dict[tuple[int, int], np.ndarray] = {}

    def draw(self, position: int) -> tuple[int, int]:
        """(group, index) of the sample at a position, 0-based, of the endless sequence."""
        period, place = divmod(position, _PERIOD)
        group = int(self._owner[place])
        number = int(period * self._counts[group] + self._before[place, group])
        epoch, rank = divmod(number, self.sizes[group])
        return group, int(self._order(group, epoch)[rank])

    def _order(self, group: int, epoch: int) -> np.ndarray:
        key = (group, epoch)
        order = self._orders.get(key)  # other threads draw too, and may clear it any time
        if order is None:
            if len(self._orders) > 64:
                self._orders.clear()
            rng = np.random.default_rng((self.seed, group, epoch))
            order = self._orders[key] = rng.permutation(self.sizes[group])
        return order
