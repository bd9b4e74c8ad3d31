"""What README and docs show works: their Python runs, their commands are ones we have."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
# Commands that need nothing but what is shipped and the files of the fixture.
QUICK = {"predict", "doctor", "weights info"}


def blocks(language: str) -> Iterator[tuple[Path, str]]:
    for path in DOCUMENTS:
        for match in re.finditer(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL):
            yield path, match.group(1)


def commands() -> list[list[str]]:
    """Every `wilor-yolo ...` of a code block, fenced or indented, split into words."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text().replace("\\\n", " ")
        fenced = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
        indented = "\n".join(re.findall(r"^ {4}(.*)$", text, re.MULTILINE))
        for line in f"{fenced}\n{indented}".splitlines():
            for part in re.split(r"\s#|&&", line.strip()):
                if part.strip().startswith("wilor-yolo ") and "..." not in part:
                    found.append(shlex.split(part)[1:])
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


@pytest.mark.slow
@pytest.mark.parametrize("words", [pytest.param(w, id=" ".join(w)) for w in commands()])
def test_command_runs(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands on files that are here run; the others fail for want of these files only."""
    from wilor_yolo.cli.main import main

    code = main([re.sub(r"^count=\d+$", "count=1", word) for word in words])

    complaint = capsys.readouterr().err
    if " ".join(word for word in words if "=" not in word) in QUICK:
        assert code == 0, complaint
    assert code in (0, 1, 2)
    if code == 2:
        assert re.search("does not exist|no such|no folder|not found|missing", complaint, re.I) or (
            any(word.partition("=")[2].split("/")[0] in complaint for word in words if "=" in word)
        ), complaint
    assert not re.search(r"no key|no verb|no part|unknown", complaint)


def test_links_lead_somewhere() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name} links to {target}"
