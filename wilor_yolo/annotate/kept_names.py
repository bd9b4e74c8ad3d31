"""What a job's folder remembers of the files it was given, so that more can be given later.

`names.json` keeps the name each file got, for a name that other files decide would pass to another
file when one comes or goes. Beside the manifest of a bundle of pictures, `parts/<chunk>.read` keeps
the names of those that could be read, a line each: they are not done again in another bundle.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import HandError
from ..whole_files import write_text
from .frames import GivenFile, Item, find_items

__all__ = [
    "bundle_name",
    "bundles_of",
    "job_items",
    "keep_names",
    "named_items",
    "pictures_read",
    "remove_unfinished",
    "write_read",
]

_NAMES = "names.json"
_BUNDLE = re.compile(r"pictures-[0-9a-f]{12}")


def job_items(source: str | Path, out: Path, bundle: int) -> list[Item]:
    """The videos and pictures of a source, under the names they have in the job of a folder.

    Args:
        source: as for :func:`.frames.find_items`.
        out: the job's folder; the names are kept there.
        bundle: pictures in a bundle; with it, folders of earlier versions, which kept nothing, are
            understood.

    Raises:
        ImageError: nothing there.
        HandError: the kept names are damaged.
    """
    earlier = not (out / _NAMES).exists()
    items = named_items(source, out)
    if earlier:
        _record_earlier_bundles(out, items, bundle)
    keep_names(out, items)
    return items


def named_items(source: str | Path, out: Path) -> list[Item]:
    """The videos and pictures of a source; those that have names in the folder of a job keep them.

    Args:
        source: as for :func:`.frames.find_items`.
        out: the job's folder, which need not be there yet; nothing is written.

    Raises:
        ImageError: nothing there.
        HandError: the kept names are damaged.
    """
    return find_items(source, out, _kept(out))


def keep_names(out: Path, items: Iterable[Item]) -> None:
    """Keep in the folder of a job the names of its files, beside those it keeps already."""
    kept = _kept(out)
    for item in items:
        if item.path.exists():
            kept[item.name] = GivenFile(os.path.abspath(item.path), item.path.stat().st_size)
    write_text(out / _NAMES, json.dumps(kept, indent=0) + "\n")


def bundles_of(items: Iterable[Item], size: int) -> list[tuple[Item, ...]]:
    """The pictures among the items, at most `size` a bundle."""
    stills = [item for item in items if not item.is_video]
    return [tuple(stills[i : i + size]) for i in range(0, len(stills), size)]


def bundle_name(items: Sequence[Item]) -> str:
    """The name of the chunk that a bundle of pictures becomes."""
    names = "\n".join(item.name for item in items)
    return f"pictures-{hashlib.sha1(names.encode()).hexdigest()[:12]}"


def pictures_read(out: Path) -> set[str]:
    """Names of the pictures that finished bundles of a folder could read."""
    return {
        name
        for record in (out / "parts").glob("*.read")
        if record.with_suffix(".jsonl").exists()  # else the bundle was not finished
        for name in record.read_text(encoding="utf-8").splitlines()
    }


def remove_unfinished(out: Path) -> None:
    """Remove what a stopped run left of a bundle: its pictures may come in other bundles now."""
    for record in (out / "parts").glob("*.read"):
        if not record.with_suffix(".jsonl").exists():
            for shard in (out / "shards").glob(f"*/{record.stem}-*"):
                shard.unlink()
            record.unlink()


def write_read(out: Path, chunk: str, names: Iterable[str]) -> None:
    """Keep the names of the pictures of a bundle that could be read; before its manifest."""
    write_text(out / "parts" / f"{chunk}.read", "".join(f"{name}\n" for name in names))


def _kept(out: Path) -> dict[str, GivenFile]:
    path = out / _NAMES
    return _read_names(path) if path.exists() else _names_in_manifests(out)


def _read_names(path: Path) -> dict[str, GivenFile]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {name: GivenFile(str(file), int(size)) for name, (file, size) in data.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise HandError(f"{path} is damaged ({error}); use another out=.") from None


def _names_in_manifests(out: Path) -> dict[str, GivenFile]:
    """For folders without `names.json`: the names of what had hands."""
    found = {}
    for part in sorted((out / "parts").glob("*.jsonl")):
        for video, source in _sources(part).items():
            size = os.path.getsize(source) if os.path.exists(source) else 0
            found[video] = GivenFile(os.path.abspath(source), size)
    return found


def _record_earlier_bundles(out: Path, items: Sequence[Item], size: int) -> None:
    """Write the missing records of finished bundles: all members of those that the source still
    gives, of others those that had hands."""
    members = {bundle_name(bundle): bundle for bundle in bundles_of(items, size)}
    for part in sorted((out / "parts").glob("pictures-*.jsonl")):
        if _BUNDLE.fullmatch(part.stem) and not part.with_suffix(".read").exists():
            bundle = members.get(part.stem, ())
            write_read(out, part.stem, [item.name for item in bundle] or _sources(part))


def _sources(part: Path) -> dict[str, str]:
    """Video name -> file of the rows of a manifest."""
    rows = (json.loads(line) for line in part.read_text(encoding="utf-8").splitlines())
    return {row["video"]: row["source"] for row in rows}
