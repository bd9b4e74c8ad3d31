"""Text files of other people: UTF-8, with or without the mark some editors put before it."""

from __future__ import annotations

from pathlib import Path

from .errors import HandError

__all__ = ["read_text"]


def read_text(path: str | Path) -> str:
    """The contents of a text file.

    Raises:
        HandError: it cannot be read or is no UTF-8 text; the message names it.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise HandError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise HandError(f"{path} is no text in UTF-8; save it as such.") from None
