"""Verbs with parts, such as ``detect train``."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import HandError, did_you_mean

__all__ = ["choose"]


def choose(verb: str, args: list[str], parts: Sequence[str]) -> tuple[str, list[str]]:
    """The part of a verb that comes first, and the arguments after it.

    Raises:
        HandError: no part, or none of these.
    """
    if not args or "=" in args[0]:
        raise HandError(f"{verb} does several things; write {verb} {'|'.join(parts)} ...")
    if args[0] not in parts:
        raise HandError(f"{verb} has no part {args[0]!r}.{did_you_mean(args[0], parts)}")
    return args[0], args[1:]
