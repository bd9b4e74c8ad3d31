"""Some of many, spread evenly."""

from __future__ import annotations

__all__ = ["evenly"]


def evenly(total: int, count: int) -> list[int]:
    """Positions of `count` of `total` things in a row, over all its length; all of a short row."""
    count = min(count, total)
    return [i * total // count for i in range(count)]
