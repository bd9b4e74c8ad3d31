"""What README and docs show works: their Python runs, their commands are ones we have."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from wilor_yolo.cli.main import VERBS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
# Commands quick enough to be run as they stand; the others are checked to exist.
QUICK = {"predict", "doctor", "weights info"}


def blocks(language: str) -> Iterator[tuple[Path, str]]:
    for path in DOCUMENTS:
        for match in re.finditer(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL):
            yield path, match.group(1)


def commands() -> list[list[str]]:
    """Every `wilor-yolo ...` of a bash block, split into words."""
    found = []
    for _, block in blocks("bash"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("#")[0].split("&&"):
                words = shlex.split(part)
                if words and words[0] == "wilor-yolo":
                    found.append(words[1:])
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files the documents name."""
    from ultralytics.utils import ASSETS

    monkeypatch.chdir(tmp_path)
    picture = cv2.imread(str(ASSETS / "zidane.jpg"))
    cv2.imwrite("photo.jpg", picture)
    small = cv2.resize(picture, (640, 360), interpolation=cv2.INTER_AREA)
    writer = cv2.VideoWriter("clip.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 10, (640, 360))
    for _ in range(3):
        writer.write(small)
    writer.release()
    return tmp_path


@pytest.mark.parametrize(
    "source",
    [pytest.param(code, id=f"{path.name}-{i}") for i, (path, code) in enumerate(blocks("python"))],
)
def test_python_runs(source: str, folder: Path) -> None:
    exec(compile(source, "document", "exec"), {"__name__": "document"})


@pytest.mark.parametrize("words", [pytest.param(w, id=" ".join(w)) for w in commands()])
def test_command_exists_and_quick_ones_run(words: list[str], folder: Path) -> None:
    from wilor_yolo.cli.main import main

    assert words[0] in VERBS
    parts = [word for word in words if "=" not in word]
    if " ".join(parts) in QUICK:
        assert main(words) == 0
    else:
        assert main([words[0], "--help"]) == 0


def test_links_lead_somewhere() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name} links to {target}"
