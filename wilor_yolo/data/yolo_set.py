"""A YOLO-pose data set of hands on disk: `images/<part>`, `labels/<part>` and `data.yaml`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..detect.data_yaml import data_yaml_of, data_yaml_text
from ..detect.sides import UNKNOWN_SIDE
from ..errors import HandError
from ..images import picture_size
from ..skeleton import LEFT, RIGHT, SIDE_NAMES
from ..sources import PICTURE_SUFFIXES
from ..text_files import read_text
from ..whole_files import write_bytes, write_text
from ..yaml_files import read_yaml
from .raw_hand import ReadReport
from .yolo_labels import HandLabel, label_text

__all__ = [
    "LabelledPicture",
    "data_yaml_text",
    "link_picture",
    "picture_files",
    "sides_of_classes",
    "write_yolo_set",
]

_PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class LabelledPicture:
    """A picture and its hands.

    Attributes:
        file: the picture.
        stem: its name in the set, without suffix; unique.
        source: name of the set it comes from.
        labels: its hands, px.
        size: (width, height) the picture must have, if the set says so.
    """

    file: Path
    stem: str
    source: str
    labels: tuple[HandLabel, ...]
    size: tuple[int, int] | None = None


def write_yolo_set(
    pictures: Iterable[LabelledPicture],
    out: str | Path,
    part: str,
    report: ReadReport,
    limit: int | None = None,
) -> Path | None:
    """Add pictures to a part of a data set; several sets can share one folder.

    Pictures are linked (copied where the file system has no symbolic links). Hands outside their
    picture are left out, what sticks out is cut.

    Args:
        pictures: from a reader.
        out: folder of the data set.
        part: "train", "val" or "test".
        report: takes broken pictures; counts hands by source.
        limit: stop after so many pictures.

    Returns:
        The data YAML, which names the parts that are there; None when there was no picture.

    Raises:
        HandError: the disk is full; or, when strict, a broken picture.
    """
    out = Path(out)
    written: set[str] = set()
    try:
        for picture in pictures:
            if limit is not None and len(written) >= limit:
                break
            with report.guard(str(picture.file)):
                if picture.stem in written:
                    raise HandError(f"a second picture is named {picture.stem}")
                _write(picture, out, part, report)
                written.add(picture.stem)
        if not written:
            return None
        report.pictures += len(written)
        write_text(out / "data.yaml", data_yaml_of(out))
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(str(out)):
            raise  # not about writing
        raise HandError(f"{out} cannot be written to ({error.strerror or error}).") from None
    return out / "data.yaml"


def _write(picture: LabelledPicture, out: Path, part: str, report: ReadReport) -> None:
    size = picture_size(picture.file)
    if picture.size is not None and picture.size != size:
        raise HandError(f"the picture has {size[0]}x{size[1]} px, the labels say {picture.size}")
    for kind in ("images", "labels"):
        (out / kind / part).mkdir(parents=True, exist_ok=True)
    shown = [label for label in picture.labels if label.shows(size)]
    report.left_out["hands outside their picture"] += len(picture.labels) - len(shown)
    write_text(out / "labels" / part / f"{picture.stem}.txt", label_text(shown, size))
    link_picture(picture.file, out / "images" / part / f"{picture.stem}{picture.file.suffix}")
    for label in shown:
        report.hands[f"{picture.source}, {SIDE_NAMES.get(label.side, 'side unknown')}"] += 1


def picture_files(data_yaml: str | Path, parts: Sequence[str] = _PARTS) -> dict[str, list[Path]]:
    """The pictures of the parts of a data YAML: files, folders (with those below) and lists.

    Raises:
        HandError: the YAML cannot be read, or names something that is not there.
    """
    path = Path(data_yaml)
    data = read_yaml(path)
    root = Path(data["path"]) if data.get("path") else path.parent
    if not root.exists():  # Ultralytics' own sets name a folder beside the YAML
        root = path.parent / root
    found: dict[str, list[Path]] = {}
    for part in parts:
        places = data.get(part) or []
        for place in [places] if isinstance(places, str) else places:
            found.setdefault(part, []).extend(_pictures_at(root / place, part))
    return found


def sides_of_classes(data: Mapping[str, Any]) -> dict[int, int]:
    """Side of each class of anybody's data YAML: names with "left" or "right" in them tell it,
    unless the set says `sides: unknown`.

    Sets of both sides may have the extra class of unknown ones in their label files.

    Raises:
        HandError: it names no classes.
    """
    names = data.get("names") or {}
    names = dict(enumerate(names)) if isinstance(names, list) else names
    if not names:
        raise HandError("the data YAML names no classes; add names:")
    if data.get("sides") == "unknown":
        return {int(k): UNKNOWN_SIDE for k in names}
    sides = {int(k): _side_of(str(name)) for k, name in names.items()}
    return {UNKNOWN_SIDE: UNKNOWN_SIDE, **sides} if set(sides.values()) == {LEFT, RIGHT} else sides


def _side_of(name: str) -> int:
    left, right = "left" in name.lower(), "right" in name.lower()
    return UNKNOWN_SIDE if left == right else LEFT if left else RIGHT


def _pictures_at(place: Path, part: str) -> list[Path]:
    if place.suffix == ".txt" and place.is_file():
        lines = read_text(place).split("\n")
        # Relative lines start at the list's folder, as in Ultralytics.
        return [place.parent / line.strip() for line in lines if line.strip()]
    if not place.is_dir():
        raise HandError(f"{part}: {place} is no folder")
    return [p for p in sorted(place.rglob("*")) if p.suffix.lower() in PICTURE_SUFFIXES]


def link_picture(picture: Path, place: Path) -> None:
    """Link a picture into a data set, or copy it; what is there already stays."""
    if place.exists():
        return
    try:
        os.symlink(picture.resolve(), place)
    except OSError:
        write_bytes(place, picture.read_bytes())
