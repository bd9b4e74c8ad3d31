"""Files inside the package ultralytics, found without importing it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ..errors import HandError

__all__ = ["require_tracker", "ultralytics_folder"]


def ultralytics_folder() -> Path:
    """Where the package ultralytics lies.

    Raises:
        HandError: it is not installed.
    """
    spec = find_spec("ultralytics")
    if spec is None or not spec.submodule_search_locations:
        raise HandError("the package ultralytics is missing: pip install ultralytics")
    return Path(spec.submodule_search_locations[0])


def require_tracker(tracker: str | Path) -> None:
    """Check that Ultralytics finds a tracker: one of its own by name, another by its path.

    Raises:
        HandError: it does not.
    """
    own = {path.name for path in (ultralytics_folder() / "cfg" / "trackers").glob("*.yaml")}
    path = Path(tracker)
    if str(tracker) not in own and not (path.is_file() and path.suffix in {".yaml", ".yml"}):
        raise HandError(
            f"tracker={tracker} is no .yaml file that is there; give the path of your own, or one "
            f"of Ultralytics': {', '.join(sorted(own))}."
        )
