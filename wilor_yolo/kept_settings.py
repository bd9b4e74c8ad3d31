"""What a folder was made with, kept beside it, so that a later run cannot mix in others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import HandError
from .whole_files import write_text

__all__ = ["keep_settings"]


def keep_settings(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a folder, or compare with those that are there.

    Args:
        path: a `.json` in the folder; a folder without one is taken as made with these.
        settings: JSON-ready values.

    Raises:
        HandError: the folder was made with others, or the file is damaged.
    """
    if not path.exists():
        write_text(path, json.dumps(settings, indent=1) + "\n")
        return
    try:
        have = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise HandError(f"{path} is damaged ({error}); use another folder.") from None
    differ = [f"{k}={have.get(k)}" for k in settings if have.get(k) != settings[k]]
    if differ:
        raise HandError(
            f"{path.parent} was made with {', '.join(differ)}; "
            "use the same settings or another folder."
        )
