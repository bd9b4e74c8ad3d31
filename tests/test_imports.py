"""`import wilor_yolo` costs next to nothing, and asking for help does not load torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "ultralytics", "cv2", "supervision", "trimesh", "timm")


def _fresh(code: str) -> dict:
    """Run code in a new process that prints one JSON line last."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_import_is_fast_and_light() -> None:
    code = (
        "import json, sys, time; start = time.process_time(); import wilor_yolo;"
        "spent = time.process_time() - start;"
        f"print(json.dumps([spent, [m for m in {HEAVY!r} if m in sys.modules]]))"
    )
    spent, loaded = _fresh(code)
    assert loaded == []
    assert spent < 0.3


def test_public_names_resolve_lazily() -> None:
    import wilor_yolo

    assert set(wilor_yolo.__all__) <= set(dir(wilor_yolo))
    assert wilor_yolo.Hands.__name__ == "Hands"
    with pytest.raises(AttributeError, match="no attribute 'Hand'"):
        _ = wilor_yolo.Hand


@pytest.mark.parametrize(
    "argv", [["--help"], ["predict", "--help"], ["predict", "sorce=x"], ["nonsense"]]
)
def test_command_line_answers_without_heavy_imports(argv: list[str]) -> None:
    code = (
        "import json, sys; from wilor_yolo.cli.main import main;"
        f"main({argv!r});"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    assert _fresh(code) == []
