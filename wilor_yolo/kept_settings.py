"""What a folder was made with, kept beside it, so that a later run cannot mix in others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .errors import HandError
from .whole_files import write_text

__all__ = ["keep_settings"]


def keep_settings(path: Path, settings: dict[str, Any], later: str | None = None) -> None:
    """Write the settings of a folder, or compare with those that are there.

    Args:
        path: a `.json` in the folder; a folder without one is taken as made with these.
        settings: JSON-ready values; files by their absolute paths.
        later: name of a setting that folders of earlier versions lack: the first run that goes on
            in one writes it down.

    Raises:
        HandError: the folder was made with others, or the file is damaged.
    """
    text = json.dumps(settings, indent=1) + "\n"
    if not path.exists():
        write_text(path, text)
        return
    try:
        have = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise HandError(f"{path} is damaged ({error}); use another folder.") from None
    wanted = json.loads(text)  # tuples are lists there
    earlier = later in wanted and later not in have
    have |= {later: wanted[later]} if earlier else {}
    keys = [key for key in {**have, **wanted} if not _same(have.get(key), wanted.get(key))]
    if keys:
        raise HandError(
            f"{path.parent} was made with {', '.join(f'{k}={have.get(k)}' for k in keys)}; "
            "use the same settings or another folder."
        )
    if earlier:
        write_text(path, text)


def _same(have: Any, wanted: Any) -> bool:
    """Earlier versions kept the paths of files as they were typed."""
    return have == wanted or (isinstance(have, str) and os.path.abspath(have) == wanted)
