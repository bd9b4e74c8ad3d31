from __future__ import annotations

import subprocess
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from wilor_yolo.cli.rows import chosen_rows, run_row, words_in
from wilor_yolo.cli.terminated import Terminated
from wilor_yolo.errors import HandError


def test_rows_come_in_the_order_of_the_grid() -> None:
    rows = [SimpleNamespace(name=name) for name in ("a", "b", "full")]
    assert chosen_rows(rows, None) == rows
    assert [row.name for row in chosen_rows(rows, ["full", "a"])] == ["a", "full"]
    assert [row.name for row in chosen_rows(rows, "[full,a]")] == ["a", "full"]
    with pytest.raises(HandError, match="Did you mean 'full'"):
        chosen_rows(rows, "ful")


def test_words() -> None:
    assert words_in("a") == ["a"]
    assert words_in("[a, 'b']") == ["a", "b"]
    assert words_in(["a", 2]) == ["a", "2"]


def test_a_row_runs_apart_and_says_what_went_wrong(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_row(["--version"]) is None
    assert "wilor-yolo" in capfd.readouterr().out
    assert str(run_row(["detetc"])).startswith("there is no verb 'detetc'")


@pytest.mark.parametrize(
    ("stop", "saves", "expected"),
    [
        (KeyboardInterrupt, True, ["wait"]),
        (Terminated, True, ["wait"]),
        (Terminated, False, ["wait", "terminate", "wait"]),
    ],
)
def test_a_stopped_row_may_save_and_is_never_left_running(
    stop: type[BaseException], saves: bool, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def stopped() -> Iterator[str]:
        raise stop
        yield ""

    def wait(patience: float | None = None) -> None:
        calls.append("wait")
        if patience is not None and not saves:
            raise subprocess.TimeoutExpired("row", patience)

    row = SimpleNamespace(stdout=stopped(), wait=wait, terminate=lambda: calls.append("terminate"))
    monkeypatch.setattr("wilor_yolo.cli.rows.subprocess.Popen", lambda *_, **__: row)
    with pytest.raises(stop):
        run_row(["detect", "train"])
    assert calls == expected
