from __future__ import annotations

from dataclasses import dataclass

import pytest

from wilor_yolo.cli import keys
from wilor_yolo.errors import HandError


@dataclass(frozen=True)
class _Options:
    source: str = keys.key(..., keys.text, "what to read")
    conf: float = keys.key(0.3, keys.number(0, 1), "lowest score")
    count: int | None = keys.key(None, keys.maybe(keys.whole(1, 9)), "how many", "all")
    camera: str = keys.key("default", keys.choice("default", "released"), "which camera")
    draw: tuple[str, ...] = keys.key(("mesh", "boxes"), keys.choices("mesh", "boxes"), "what")
    K: tuple[float, ...] | None = keys.key(None, keys.numbers(4, "fx,fy,cx,cy"), "intrinsics")
    show: bool = keys.key(False, keys.yes_no, "open a window")


def _read(*args: str) -> _Options:
    return keys.read_keys(_Options, args, "look")


def test_defaults_and_values() -> None:
    assert _read("source=a=b.jpg") == _Options("a=b.jpg")
    options = _read(
        "source=a b.jpg",
        "conf=1e-1",
        "count=3",
        "camera=released",
        "draw=boxes",
        "K=[1,2.5,3,4]",
        "--show=yes",
    )
    assert options == _Options("a b.jpg", 0.1, 3, "released", ("boxes",), (1, 2.5, 3, 4), True)
    assert _read("source=a", "show").show is True
    assert _read("source=a", "count=None").count is None
    assert _read("source=a", "show=off").show is False


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["sorce=a"],
            "look has no key 'sorce'. Did you mean 'source'? See: wilor-yolo look --help",
        ),
        (["source=a", "xyz=1"], "Known: K, camera, conf, count, draw, show, source."),
        (["source=a", "stream=True"], "Videos are always read frame by frame; leave it out."),
        (["a.jpg"], "'a.jpg' is no key=value pair; did you mean source=a.jpg?"),
        (["sourc"], "did you mean source=...?"),
        (["source=a", "conf"], "conf needs a value: conf=..."),
        (["source=a", "conf=2"], "conf=2 should be a number from 0 to 1."),
        (["source=a", "conf=nan"], "conf=nan should be a number from 0 to 1."),
        (["source=a", "conf=high"], "conf=high should be a number from 0 to 1."),
        (["source=a", "count=0"], "count=0 should be a whole number from 1 to 9."),
        (["source=a", "count=1.5"], "count=1.5 should be a whole number from 1 to 9."),
        (["source=a", "camera=mine"], "camera=mine should be one of default, released."),
        (["source=a", "draw=mesh,lines"], "should be some of mesh,boxes."),
        (["source=a", "K=1,2,3"], "K=1,2,3 should be 4 numbers fx,fy,cx,cy."),
        (["source=a", "show=maybe"], "show=maybe should be True or False."),
        (["source=a", "source=b"], "source is given twice; keep one."),
        (["source="], "source= has no value"),
        (["conf=0.5"], "look needs source=: what to read."),
    ],
)
def test_mistakes_are_named(args: list[str], message: str) -> None:
    with pytest.raises(HandError) as caught:
        _read(*args)
    assert message in str(caught.value)


def test_long_keys_keep_a_blank_in_help() -> None:
    @dataclass(frozen=True)
    class Long:
        reconstructor_backend: str = keys.key("torch", keys.text, "what runs it")

    assert keys.describe_keys(Long) == "  reconstructor_backend= what runs it [torch]"


def test_help_lists_every_key_with_its_default() -> None:
    text = keys.describe_keys(_Options)
    for line in (
        "source=         what to read (needed)",
        "conf=           lowest score [0.3]",
        "count=          how many [all]",
        "draw=           what [mesh,boxes]",
        "show=           open a window [False]",
    ):
        assert line in text
    assert max(len(line) for line in text.splitlines()) <= 100
