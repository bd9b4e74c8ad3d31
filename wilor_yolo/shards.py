"""Shards: plain tar files of training samples.

The layout is webdataset's (``<key>.jpg`` and ``<key>.json`` side by side), so its loaders read
them too. Our own reader needs only tarfile, json and OpenCV, and executes nothing.
"""

from __future__ import annotations

import glob
import hashlib
import io
import os
import tarfile
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from wilor_yolo.errors import HandError
from wilor_yolo.samples import EncodedSample, HandSample

__all__ = [
    "SAMPLES_PER_SHARD",
    "ShardWriter",
    "ends_well",
    "find_shards",
    "hash_shards",
    "iterate_samples",
    "read_shard",
    "remove_abandoned",
    "write_shards",
]

SAMPLES_PER_SHARD = 1000
_ABANDONED = 3600.0  # seconds since anybody wrote to an unfinished shard


class ShardWriter:
    """Write samples into numbered shards; a shard gets its name when it is complete.

    Use as a context manager. On an exception the unfinished shard is removed.

    Args:
        folder: made when missing.
        prefix: shards are named ``<prefix>-000000.tar``, counted from `first_shard`.
        per_shard: samples in each shard but the last.
        first_shard: number of the first shard (several writers can share a folder).
    """

    def __init__(
        self,
        folder: str | Path,
        prefix: str = "hands",
        per_shard: int = SAMPLES_PER_SHARD,
        first_shard: int = 0,
    ) -> None:
        if per_shard < 1:
            raise HandError(f"per_shard={per_shard}: must be at least 1")
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prefix = prefix
        self.per_shard = per_shard
        self.paths: list[Path] = []
        self._number = first_shard
        self._tar: tarfile.TarFile | None = None
        self._keys: set[str] = set()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        elif self._tar is not None:
            self._tar.close()
            self._tar = None
            self._temporary.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self.folder / f"{self.prefix}-{self._number:06d}.tar"

    @property
    def _temporary(self) -> Path:
        # Not *.tar: a reader that scans the folder never meets half a shard.
        return self._path.with_suffix(f".tar.{os.getpid()}.tmp")

    def add(self, sample: HandSample | EncodedSample) -> None:
        """Append one sample; its key must be new in the shard."""
        encoded = sample.encode() if isinstance(sample, HandSample) else sample
        if self._tar is None:
            self._tar = tarfile.open(  # noqa: SIM115  stays open until `close`
                self._temporary, "w", format=tarfile.USTAR_FORMAT
            )
            self._keys = set()
        if encoded.key in self._keys:
            raise HandError(f"sample key {encoded.key!r} occurs twice in {self._path.name}")
        self._keys.add(encoded.key)
        for suffix, data in (("jpg", encoded.jpeg), ("json", encoded.label)):
            member = tarfile.TarInfo(f"{encoded.key}.{suffix}")
            member.size = len(data)
            self._tar.addfile(member, io.BytesIO(data))
        if len(self._keys) >= self.per_shard:
            self.close()

    def close(self) -> None:
        """Finish the current shard, if any samples are in it."""
        if self._tar is None:
            return
        self._tar.close()
        self._tar = None
        os.replace(self._temporary, self._path)
        self.paths.append(self._path)
        self._number += 1


def remove_abandoned(folder: Path, name: str) -> None:
    """Remove the unfinished copies of shard `name` that killed runs left in a folder.

    One that was written to in the last hour may belong to a run that is alive, and stays.
    """
    for unfinished in folder.glob(f"{name}.*.tmp"):
        try:
            if time.time() - unfinished.stat().st_mtime > _ABANDONED:
                unfinished.unlink()
        except FileNotFoundError:  # its run has just finished it
            continue


def write_shards(
    samples: Iterable[HandSample | EncodedSample],
    folder: str | Path,
    prefix: str = "hands",
    per_shard: int = SAMPLES_PER_SHARD,
) -> list[Path]:
    """Write all samples and return the shards' paths."""
    with ShardWriter(folder, prefix, per_shard) as writer:
        for sample in samples:
            writer.add(sample)
    return writer.paths


def find_shards(places: str | Path | Iterable[str | Path]) -> list[Path]:
    """The sorted ``.tar`` files behind files, folders and glob patterns.

    An empty folder or pattern gives no shards (they may still be in the making); a plain path
    that does not exist is an error.
    """
    if isinstance(places, (str, Path)):
        places = [places]
    found: set[Path] = set()
    for place in places:
        path = Path(place).expanduser()
        if path.is_dir():
            found.update(path.glob("*.tar"))
        elif path.is_file():
            found.add(path)
        elif glob.has_magic(str(path)):
            found.update(Path(name) for name in glob.glob(str(path)) if name.endswith(".tar"))
        else:
            raise HandError(f"{path}: no such shard or folder of shards")
    return sorted(found)


def read_shard(path: str | Path, strict: bool = False) -> Iterator[EncodedSample]:
    """The samples of one shard in file order, still encoded.

    Args:
        path: a shard.
        strict: raise `HandError` at a torn end, an incomplete sample or a foreign member; when
            False a warning names it and reading goes on as far as the file allows.
    """
    path = Path(path)
    pending: dict[str, dict[str, bytes]] = {}
    last = "its beginning"
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                key, _, suffix = member.name.partition(".")
                if not member.isreg() or suffix not in ("jpg", "json") or "/" in key:
                    _complain(strict, f"{path}: skipped foreign member {member.name!r}")
                    continue
                handle = tar.extractfile(member)
                data = b"" if handle is None else handle.read()
                if len(data) != member.size:
                    raise tarfile.ReadError("unexpected end of data")
                last = member.name
                parts = pending.setdefault(key, {})
                parts[suffix] = data
                if len(parts) == 2:
                    del pending[key]
                    yield EncodedSample(key, parts["jpg"], parts["json"])
                # tarfile remembers every member it has seen; we never go back.
                tar.members = []  # type: ignore[attr-defined]  # typeshed leaves it out
        # A cut exactly between two members looks like a good end to tarfile.
        if not ends_well(path):
            raise tarfile.ReadError("the end marker is missing")
    except (tarfile.TarError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise HandError(f"{path}: no such shard") from None
        _complain(strict, f"{path}: torn after {last} ({error}); make this shard again")
    for key, parts in pending.items():
        lacks = "json" if "jpg" in parts else "jpg"
        _complain(strict, f"{path}: skipped sample {key!r}, its {lacks} is missing")


def iterate_samples(
    places: str | Path | Iterable[str | Path], strict: bool = False
) -> Iterator[HandSample]:
    """Decoded samples of all shards in order; damaged ones are named and skipped, or raise."""
    for path in find_shards(places):
        for encoded in read_shard(path, strict):
            try:
                sample = encoded.decode()
            except HandError as error:
                _complain(strict, f"{path}: {error}")
                continue
            yield sample


def hash_shards(paths: Iterable[Path]) -> str:
    """Twelve hex digits of SHA-256 over the names and bytes of the shards, in order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode())
        with open(path, "rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:12]


def ends_well(path: Path) -> bool:
    """Whether a shard has its end mark: one that was cut off while it was copied has not."""
    if path.stat().st_size < 1024:
        return False
    with open(path, "rb") as handle:
        handle.seek(-1024, os.SEEK_END)
        return not any(handle.read())


def _complain(strict: bool, message: str) -> None:
    if strict:
        raise HandError(message)
    warnings.warn(message, stacklevel=3)
