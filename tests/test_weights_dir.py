"""Which file a name means."""

from __future__ import annotations

from pathlib import Path

import pytest

from wilor_yolo.errors import WeightsError
from wilor_yolo.weights_dir import or_shipped, shipped, weights_dir


def test_a_bare_name_is_a_shipped_file_unless_one_has_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert or_shipped("hand-n.pt") == weights_dir() / "hand-n.pt"
    assert or_shipped("runs/hand-n.pt") == Path("runs/hand-n.pt")
    assert or_shipped("mine.pt") == Path("mine.pt")
    Path("hand-n.pt").touch()
    assert or_shipped("hand-n.pt") == Path("hand-n.pt")


def test_what_does_not_ship_is_told_with_what_does() -> None:
    with pytest.raises(WeightsError, match=r"hand-x\.pt is missing; .*hand-n\.pt"):
        shipped("hand-x.pt")
