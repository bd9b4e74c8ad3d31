"""HaMeR's training tars -> `RawHand`, read as they are.

A tar is a webdataset: `<key>.jpg` (or jpeg, png), `<key>.data.pyd` and maybe `<key>.detection.npz`
side by side. The `.pyd` member is a pickle of a list of dictionaries, one a hand, which webdataset
would load freely; here it goes through :mod:`wilor_yolo.unpickle`, which runs nothing. The masks
in `detection.npz` are not used.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..dataset_files import read_pickle_bytes
from ..errors import HandError
from ..shards import find_shards
from .hamer_filters import SCALE_UNIT, TAR_MARGIN, HamerFilters, hamer_hand
from .raw_hand import RawHand, ReadReport, sample_key

__all__ = ["read_hamer_tars"]

_PICTURES = ("jpg", "jpeg", "png")
_LABELS = "data.pyd"
# HaMeR's tars lie in folders such as `freihand-train/000000.tar`.
_FOLDER_TAILS = ("-train", "-trainval", "-val", "-test", "-pruned")


def read_hamer_tars(
    root: str | Path | Iterable[str | Path],
    report: ReadReport,
    source: str | None = None,
    filters: HamerFilters | None = None,
) -> Iterator[RawHand]:
    """All hands of some tars that pass the filters, in file order.

    Args:
        root: tars, folders of tars, or glob patterns.
        report: takes the broken samples.
        source: name of the set; the name of each tar's folder by default.
        filters: HaMeR's by default.

    Raises:
        HandError: no tars there.
    """
    paths = find_shards(root)
    if not paths:
        raise HandError(f"{root}: no tars; give tars, a folder of tars or a glob in quotes.")
    for path in paths:
        name = source or _source(path)
        for key, parts in _groups(path, report):
            yield from _hands(path, key, parts, name, filters or HamerFilters(), report)


def _source(path: Path) -> str:
    name = path.resolve().parent.name.lower()
    for tail in _FOLDER_TAILS:
        name = name.removesuffix(tail)
    return name or "hamer"


def _hands(
    path: Path,
    key: str,
    parts: dict[str, bytes],
    source: str,
    filters: HamerFilters,
    report: ReadReport,
) -> Iterator[RawHand]:
    where = f"{path}: sample {key}"
    entries: list = []
    picture = b""
    with report.guard(where):
        pictures = [parts[suffix] for suffix in _PICTURES if suffix in parts]
        if _LABELS not in parts or not pictures:
            raise HandError(f"its {'picture' if _LABELS in parts else _LABELS} is missing")
        picture = pictures[0]
        content = read_pickle_bytes(parts[_LABELS], f"{where}: {_LABELS}")
        if not isinstance(content, list):
            raise HandError(f"{_LABELS} holds a {type(content).__name__} and no list of hands")
        entries = content
    for i, fields in enumerate(entries):
        hand = None
        name = sample_key(path.parent.name, path.stem, key, i)
        with report.guard(f"{path}: sample {name}"):
            scale = np.array(fields["scale"], np.float64).reshape(-1)
            box = np.broadcast_to(scale * SCALE_UNIT / TAR_MARGIN, (2,))
            hand = hamer_hand(fields, name, source, path, picture, box, filters)
        if hand is not None:
            yield hand


def _groups(path: Path, report: ReadReport) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Consecutive members of one key, as webdataset groups them; (key, suffix -> bytes)."""
    current, parts, last = "", dict[str, bytes](), "its beginning"
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                if not member.isreg():
                    continue
                # The key runs to the first dot of the file name and keeps its folders.
                folder, slash, name = member.name.rpartition("/")
                stem, _, suffix = name.partition(".")
                handle = tar.extractfile(member)
                data = b"" if handle is None else handle.read()
                if len(data) != member.size:
                    raise tarfile.ReadError(f"{member.name} is cut off")
                key = folder + slash + stem
                if parts and key != current:
                    yield current, parts
                    parts = {}
                current, last = key, member.name
                if not suffix.endswith("npz"):
                    parts[suffix.lower()] = data
                # tarfile remembers every member; we never go back.
                tar.members = []  # type: ignore[attr-defined]
        # A cut exactly between two members looks like a good end to tarfile.
        with open(path, "rb") as file:
            file.seek(-tarfile.BLOCKSIZE, os.SEEK_END)
            if any(file.read()):
                raise tarfile.ReadError("the end marker is missing")
        if parts:
            yield current, parts
    except (tarfile.TarError, OSError, EOFError) as error:
        report.fault(f"{path}: torn after {last} ({error}); download it again")
