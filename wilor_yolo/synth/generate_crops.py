"""Write shards of rendered hand crops: seeded per sample, on several processes, resumable."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

from ..errors import HandError
from ..kept_settings import keep_settings
from ..shards import SAMPLES_PER_SHARD, ShardWriter, remove_abandoned
from ..spread import spread
from .background import Photos
from .crop_scene import sample_crop
from .hand_mesh import FineHand
from .one_thread import one_thread

__all__ = ["CropSettings", "generate_crops"]

PREFIX = "crops"
ENGINE = 1  # raise when the same seed makes other pictures than before
_REPORT_SECONDS = 20.0
_SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class CropSettings:
    """All that decides what the samples look like, beside their number.

    Attributes:
        seed: of the whole series; sample i depends on (seed, i) only.
        size: side of the pictures, px.
        rays: occlusion rays per vertex.
        photos: folder of photographs without hands for a third of the backgrounds, or None.
        hand: folder of the free hand's two files; None: the shipped ones.
    """

    seed: int = 0
    size: int = 256
    rays: int = 24
    photos: str | None = None
    hand: str | None = None


_Job = tuple[Path, CropSettings, int, int, int]  # folder, settings, shard, samples, per shard


def generate_crops(
    out: Path,
    count: int,
    seed: int = 0,
    workers: int = 1,
    size: int = 256,
    photos: str | Path | None = None,
    rays: int = 24,
    hand: str | Path | None = None,
    per_shard: int = SAMPLES_PER_SHARD,
    report: Callable[[str], None] = print,
) -> list[Path]:
    """Make `count` samples as shards ``crops-000000.tar``, ... in the folder `out`.

    Complete shards are kept: a run that was stopped goes on where it was, and a larger `count`
    adds to what is there (a last shard that is too short for it is made again, its samples are the
    same). A shard gets its name only when it is complete.

    Args:
        workers: processes; each makes whole shards.
        photos, size, rays, hand: see `CropSettings`.
        per_shard: samples in a shard.
        report: called with lines of progress.

    Returns:
        The paths of all shards.

    Raises:
        HandError: the folder holds shards made with other settings, a package is missing, or a
            worker died.
    """
    if count < 1 or per_shard < 1 or workers < 1 or size < 32:
        raise HandError(
            f"count={count}, per_shard={per_shard}, workers={workers} must be at least 1 and "
            f"size={size} at least 32"
        )
    out = Path(out)
    settings = CropSettings(
        seed,
        size,
        rays,
        None if photos is None else str(photos),
        None if hand is None else str(hand),
    )
    _engine(settings)  # a missing package or folder is said here, once
    keep_settings(
        out / _SETTINGS_FILE, {"engine": ENGINE, "per_shard": per_shard, **asdict(settings)}
    )
    numbers = range(-(-count // per_shard))
    paths = [out / f"{PREFIX}-{n:06d}.tar" for n in numbers]
    sizes = [min(per_shard, count - n * per_shard) for n in numbers]
    jobs = [
        (out, settings, n, sizes[n], per_shard) for n in numbers if not _holds(paths[n], sizes[n])
    ]
    if len(jobs) < len(paths):
        report(f"{out}: {len(paths) - len(jobs)} of {len(paths)} shards are there already")
    started, made = time.perf_counter(), 0
    processes = min(workers, len(jobs))
    make = partial(_worker, report if processes == 1 else None)
    for number, samples in spread(make, jobs, processes):
        made += samples
        rate = made / (time.perf_counter() - started)
        left = sum(job[3] for job in jobs) - made
        report(f"{paths[number].name}: {rate:.1f} samples/s, {left / rate / 60:.0f} min left")
    return paths


def _holds(shard: Path, samples: int) -> bool:
    """Whether a shard is there, whole, with at least so many samples."""
    if not shard.exists():
        return False
    try:
        with tarfile.open(shard, "r:") as tar:
            return len(tar.getnames()) >= 2 * samples  # a picture and a label each
    except tarfile.TarError:
        return False


def _worker(report: Callable[[str], None] | None) -> Callable[[_Job], tuple[int, int]]:
    return partial(_make_shard, report=report)


@lru_cache(maxsize=1)
@one_thread()
def _engine(settings: CropSettings) -> tuple[FineHand, Photos | None]:
    """The hand and the photographs, once per process."""
    from .extra import require

    for package in ("embreex", "numba", "scipy"):
        require(package)
    return FineHand(settings.hand), None if settings.photos is None else Photos(settings.photos)


@one_thread()
def _make_shard(job: _Job, report: Callable[[str], None] | None) -> tuple[int, int]:
    out, settings, number, samples, per_shard = job
    hand, photos = _engine(settings)
    remove_abandoned(out, f"{PREFIX}-{number:06d}.tar")
    with ShardWriter(out, PREFIX, samples, first_shard=number) as writer:
        last = time.perf_counter()
        for i in range(samples):
            if report is not None and time.perf_counter() - last > _REPORT_SECONDS:
                last = time.perf_counter()
                report(f"{PREFIX}-{number:06d}: {i} of {samples}")
            index = number * per_shard + i
            writer.add(
                sample_crop(settings.seed, index, hand, settings.size, photos, settings.rays)
            )
    return number, samples
