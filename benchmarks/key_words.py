"""The words `key=value` of a script's command line."""

from __future__ import annotations

import sys


def key_words(help_text: str | None) -> dict[str, str]:
    """What the command line says, by key; any other word prints the help and ends the script."""
    words = sys.argv[1:]
    if any("=" not in word for word in words):
        print(help_text)
        sys.exit(0 if {"--help", "-h", "help"} & set(words) else 2)
    return dict(word.split("=", 1) for word in words)
