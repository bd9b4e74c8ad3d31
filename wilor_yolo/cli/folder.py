"""The folder a run writes into: predict, predict2, predict3, ..."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import HandError

__all__ = ["folder_of_run", "new_folder", "spare_sources", "unused_stems"]

_MOST_RUNS = 9999


def new_folder(wanted: str | Path, exist_ok: bool = False) -> Path:
    """Make a folder nobody has written into yet.

    Args:
        wanted: an empty folder is taken as it is; next to one with files in it, a folder with the
            next free number is made, as Ultralytics does.
        exist_ok: write into the folder although there are files in it.

    Raises:
        HandError: the folder cannot be made or written to.
    """
    return _new_folder(wanted, exist_ok)[0]


@contextmanager
def folder_of_run(wanted: str | Path, exist_ok: bool = False) -> Iterator[Path]:
    """As :func:`new_folder`; a folder it made is taken back if nothing was written into it."""
    folder, made = _new_folder(wanted, exist_ok)
    try:
        yield folder
    finally:
        if made:
            with suppress(OSError):  # there are files in it
                folder.rmdir()


def spare_sources(targets: Iterable[Path], sources: Iterable[Path]) -> None:
    """Refuse to write over what is read.

    Raises:
        HandError: a target is one of the sources, by whatever name.
    """
    read = {_identity(source) for source in sources} - {None}
    for target in targets:
        if _identity(target) in read:
            raise HandError(
                f"{target} is a source and would be written over: out= is the folder of the "
                "source; give another."
            )


def _identity(path: Path) -> tuple[int, int] | None:
    """The same for all names of a file (links, upper and lower case); None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _new_folder(wanted: str | Path, exist_ok: bool) -> tuple[Path, bool]:
    """The folder, and whether it was made here."""
    wanted = Path(wanted)
    if wanted.name in {"", ".."}:  # `.` has no name to put a number behind
        wanted = Path(os.path.abspath(wanted))
    for number in range(1, _MOST_RUNS):
        folder = wanted if number == 1 else wanted.parent / f"{wanted.name}{number}"
        made = True
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise HandError(f"{folder} is a file; give another folder with out=.") from None
            if not exist_ok and next(folder.iterdir(), None) is not None:
                continue
            made = False
        except OSError as error:
            raise _unwritable(folder, error) from None
        try:
            _try_writing(folder)
        except OSError as error:
            raise _unwritable(folder, error) from None
        return folder, made
    raise HandError(f"{wanted} and {_MOST_RUNS} folders after it are taken; clean up.")


def unused_stems(paths: list[Path]) -> list[str]:
    """A file name stem for each path; those that would collide keep their suffix or get a number.

    Collisions are told without regard to case, for file systems that do not tell ``A`` from ``a``.
    """
    taken: set[str] = set()
    stems = []
    for path in paths:
        stem, number = path.stem, 1
        while stem.lower() in taken:
            stem = path.name.replace(".", "_") if number == 1 else f"{path.stem}_{number}"
            number += 1
        taken.add(stem.lower())
        stems.append(stem)
    return stems


def _try_writing(folder: Path) -> None:
    # Asking the system for permissions is not enough: the disk may be mounted read-only.
    probe = folder / f".wilor-yolo-{os.getpid()}"
    probe.touch()
    probe.unlink()


def _unwritable(folder: Path, error: OSError) -> HandError:
    reason = error.strerror or str(error)
    return HandError(f"{folder} cannot be written to ({reason}); give another folder with out=.")
