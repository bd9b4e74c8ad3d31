"""Some of many, spread evenly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["evenly"]

_Item = TypeVar("_Item")


def evenly(items: Sequence[_Item], count: int) -> list[_Item]:
    """`count` of the items, from all their length; all of them if they are fewer."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]
