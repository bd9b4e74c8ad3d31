"""``key=value`` arguments: a verb's keys are the fields of a dataclass.

Nothing heavy is imported here: a mistyped key fails before torch is loaded.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

from ..errors import HandError, did_you_mean

__all__ = [
    "choice",
    "choices",
    "describe_keys",
    "key",
    "maybe",
    "number",
    "numbers",
    "read_keys",
    "text",
    "whole",
    "words",
    "yes_no",
]

T = TypeVar("T")
Convert = Callable[[str], Any]
_YES, _NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
_NONE = {"none", "null"}
# What keys of `yolo` are called here; the first that a verb has is meant.
_OF_YOLO = {
    "model": ("detector", "detectors", "weights"),
    "project": ("out",),
    "name": ("out",),
    "vid_stride": ("stride",),
    "save_txt": ("save_json",),
    "show_boxes": ("draw",),
    "show_conf": ("draw",),
    "show_labels": ("draw",),
}
_COLUMN = 16  # width of the key column in --help


@dataclass(frozen=True)
class _Key:
    convert: Convert
    help: str
    shown: str | None


def key(default: Any, convert: Convert, help: str, shown: str | None = None) -> Any:
    """A field of an options dataclass that is a key of the command line.

    Args:
        default: value without the key; `...` when it must be given.
        convert: turns the text after ``=`` into the value, or raises ValueError saying what it
            should have been.
        help: one sentence for ``--help``.
        shown: how the default is written in ``--help`` if not as it is.
    """
    about = {"key": _Key(convert, help, shown)}
    return field(metadata=about) if default is ... else field(default=default, metadata=about)


def text(value: str) -> str:
    """Any text."""
    return value


def yes_no(value: str) -> bool:
    """True or False."""
    lower = value.lower()
    if lower not in _YES | _NO:
        raise ValueError("True or False")
    return lower in _YES


def number(low: float, high: float = float("inf")) -> Convert:
    """A number from `low` to `high`."""

    def convert(value: str) -> float:
        wanted = f"a number from {low:g}" + (f" to {high:g}" if high < float("inf") else " up")
        try:
            result = float(value)
        except ValueError:
            raise ValueError(wanted) from None
        if not low <= result <= high:  # NaN fails too
            raise ValueError(wanted)
        return result

    return convert


def whole(low: int, high: int | None = None) -> Convert:
    """A whole number from `low` to `high`."""

    def convert(value: str) -> int:
        wanted = f"a whole number from {low}" + (" up" if high is None else f" to {high}")
        try:
            result = int(value)
        except ValueError:
            raise ValueError(wanted) from None
        if result < low or (high is not None and result > high):
            raise ValueError(wanted)
        return result

    return convert


def numbers(count: int, names: str) -> Convert:
    """`count` numbers with commas between, as a tuple."""

    def convert(value: str) -> tuple[float, ...]:
        try:
            result = tuple(float(part) for part in _parts(value))
        except ValueError:
            result = ()
        if len(result) != count:
            raise ValueError(f"{count} numbers {names}")
        return result

    return convert


def choice(*allowed: str) -> Convert:
    """One of a few words."""

    def convert(value: str) -> str:
        if value not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return value

    return convert


def choices(*allowed: str) -> Convert:
    """Some of a few words, with commas between, as a tuple."""

    def convert(value: str) -> tuple[str, ...]:
        parts = _parts(value)
        if not set(parts) <= set(allowed):
            raise ValueError("some of " + ",".join(allowed))
        return parts

    return convert


def words(value: str) -> tuple[str, ...]:
    """Words, with commas between, as a tuple."""
    parts = _parts(value)
    if not all(parts):
        raise ValueError("words with commas between")
    return parts


def _parts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.strip("[]()").split(","))


def maybe(convert: Convert) -> Convert:
    """The same, or None for the word ``none``."""
    return lambda value: None if value.lower() in _NONE else convert(value)


def read_keys(options: type[T], args: Iterable[str], verb: str) -> T:
    """Fill an options dataclass from the command line.

    Raises:
        HandError: an unknown key, a bare word, a key given twice or missing, or a wrong value.
    """
    known = _keys(options)
    values: dict[str, Any] = {}
    for argument in args:
        name, equals, value = argument.lstrip("-").partition("=")
        if not equals:
            if name in known and known[name].convert is yes_no:
                value = "True"  # like Ultralytics: `show` alone means show=True
            elif name in known:
                raise HandError(f"{name} needs a value: {name}=...")
            else:
                hint = f"source={argument}" if "source" in known else "key=value"
                close = difflib.get_close_matches(name, known, 1, 0.75)
                hint = f"{close[0]}=..." if close else hint
                raise HandError(
                    f"{argument!r} is no key=value pair; did you mean {hint}? "
                    f"See: wilor-yolo {verb} --help"
                )
        if name not in known:
            raise HandError(
                f"{verb} has no key {name!r}.{_key_hint(name, known)} See: wilor-yolo {verb} --help"
            )
        if name in values:
            raise HandError(f"{name} is given twice; keep one.")
        value = os.path.expanduser(value)  # zsh leaves `out=~/hands` as it is, bash does not
        try:
            values[name] = known[name].convert(value)
        except ValueError as error:
            raise HandError(f"{name}={value} should be {error}.") from None
        if value == "":
            raise HandError(f"{name}= has no value; write {name}=... or leave it out.")
    for item in fields(options):  # type: ignore[arg-type]
        if item.default is MISSING and item.name not in values:
            raise HandError(
                f"{verb} needs {item.name}=: {known[item.name].help}. See: wilor-yolo {verb} --help"
            )
    return options(**values)


def describe_keys(options: type) -> str:
    """The keys with their defaults and sentences, a line each, for ``--help``."""
    lines = []
    for item in fields(options):
        about: _Key = item.metadata["key"]
        shown = about.shown
        if shown is None and item.default not in (MISSING, None):
            value = item.default
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        name = item.name + "="
        default = " (needed)" if item.default is MISSING else f" [{shown}]" if shown else ""
        lines += _wrapped(f"  {name:<{_COLUMN - 1}} ", about.help + default)
    return "\n".join(lines)


def _key_hint(name: str, known: dict[str, _Key]) -> str:
    if name == "stream":
        return " Videos are always read frame by frame; leave it out."
    meant = next((ours for ours in _OF_YOLO.get(name, ()) if ours in known), None)
    return did_you_mean(name, known) if meant is None else f" Did you mean {meant!r}?"


def _wrapped(start: str, sentence: str) -> list[str]:
    import textwrap

    return textwrap.wrap(sentence, 96, initial_indent=start, subsequent_indent=" " * (_COLUMN + 2))


def _keys(options: type) -> dict[str, _Key]:
    return {item.name: item.metadata["key"] for item in fields(options)}
