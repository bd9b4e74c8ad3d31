"""Files are whole or not there: written to a temporary name beside the old one, then renamed.

What a reader finds under a file's name is the old content or the new, never half of it, whatever
stops the writer. The temporary name ends in `.part`, so that nobody who looks for files by their
ending takes what a killed process left for a finished one; writers that choose by the ending
(`np.savez`, `cv2.imwrite`) get an open file, or give their bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing", "write_bytes", "write_text"]


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path, which gets the name `path` at the end of the `with` block.

    After any failure the temporary file is gone and a file that was at `path` is as it was.

    Args:
        path: the file to write; its folder is made when missing.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file, as :func:`replacing` says."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file, as :func:`replacing` says; lines end as they do in `text`."""
    write_bytes(path, text.encode())
