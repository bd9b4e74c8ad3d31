"""Errors a user can act on: one line that says what is wrong and how to mend it."""

from __future__ import annotations

import difflib
import zipfile
import zlib
from collections.abc import Iterable

__all__ = ["NPZ_ERRORS", "HandError", "ImageError", "WeightsError", "did_you_mean", "one_line"]

# What numpy raises at an `.npz` that is damaged, something else, or lacks an array.
NPZ_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    KeyError,
    TypeError,
    AttributeError,
    ValueError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


class HandError(Exception):
    """Something the user can mend. The command line prints the message alone and exits with 2."""


class ImageError(HandError):
    """A picture or video that cannot be read."""


class WeightsError(HandError):
    """A weight or hand-model file that is missing, foreign or damaged."""


def one_line(error: BaseException | str, most: int = 200) -> str:
    """What an error says on one line of at most so many characters, or its type if nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[: most - 3]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ " Did you mean ...?", or the list of what there is."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, 1, 0.6)
    return f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(known)}."
