"""``wilor-yolo annotate whim``: pictures for the released WHIM annotations."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from .keys import choice, describe_keys, key, read_keys, text

__all__ = ["HELP", "extract_whim_of"]


@dataclass(frozen=True)
class WhimOptions:
    """The keys of ``annotate whim``."""

    root: str = key(..., text, "the released set: <split>/anno and <split>_video_ids.json")
    videos: str = key(..., text, "folder of downloaded videos, <id>.mp4 or ... [<id>].mp4")
    out: str = key(..., text, "folder to write; videos that are there are not done again")
    split: str = key("train", choice("train", "test"), "part of the set")


HELP = f"""\
whim: frames of downloaded videos for the released WHIM labels, boxes scaled to the download

  wilor-yolo annotate whim root=WHIM videos=downloads out=whim_frames
  wilor-yolo data convert whim root=whim_frames out=shards/whim to=reconstructor

{describe_keys(WhimOptions)}
"""


def extract_whim_of(args: list[str]) -> int:
    """Run the part of the verb; 1 when videos are missing or broken."""
    options = read_keys(WhimOptions, args, "annotate whim")
    from ..annotate.whim_frames import extract_whim

    done = extract_whim(
        options.root,
        options.split,
        options.videos,
        options.out,
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(f"{options.out}: {done}")
    if done.missing:
        print(f"ids of missing videos: {options.out}/{options.split}_missing.txt", file=sys.stderr)
    return 1 if done.missing or done.broken else 0
