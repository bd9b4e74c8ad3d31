"""``wilor-yolo synth crops|scenes|clips``: render training pictures and test clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .keys import describe_keys, key, maybe, number, read_keys, text, whole, words
from .verbs import choose

__all__ = ["HELP", "run"]


@dataclass(frozen=True)
class CropOptions:
    """The keys of ``synth crops``."""

    out: str = key(..., text, "folder for the shards")
    count: int = key(..., whole(1), "samples")
    seed: int = key(0, whole(0), "another seed makes other pictures")
    workers: int = key(1, whole(1), "processes")
    size: int = key(256, whole(32), "side of the pictures, px")
    photos: str | None = key(
        None, maybe(text), "folder of photographs without hands, as background"
    )
    rays: int = key(24, whole(1), "occlusion rays a vertex")


@dataclass(frozen=True)
class SceneOptions:
    """The keys of ``synth scenes``."""

    out: str = key(..., text, "folder for images/, labels/ and scenes.yaml")
    count: int = key(..., whole(1), "pictures")
    seed: int = key(0, whole(0), "another seed makes other pictures")
    workers: int = key(1, whole(1), "processes")
    size: int = key(640, whole(64), "longer side of the pictures, px")
    start: int = key(0, whole(0), "number of the first picture")
    kinds: tuple[str, ...] | None = key(
        None,
        maybe(words),
        "kinds of scenes, such as [focus, first_person]",
        "all",
    )


@dataclass(frozen=True)
class ClipOptions:
    """The keys of ``synth clips``."""

    out: str = key(..., text, "folder for the videos and their truth")
    count: int = key(..., whole(1), "clips")
    seed: int = key(0, whole(0), "another seed makes other clips")
    workers: int = key(1, whole(1), "processes")
    seconds: float = key(2.0, number(0.1, 600), "length")
    fps: float = key(15.0, number(1, 240), "frames a second")
    width: int = key(320, whole(32), "px, even")
    height: int = key(240, whole(32), "px, even")
    rays: int = key(16, whole(1), "occlusion rays a vertex")


HELP = f"""\
wilor-yolo synth: render pictures of hands with exact labels (extra: synth)

  wilor-yolo synth crops  out=shards/synth count=20000 workers=8
  wilor-yolo synth scenes out=scenes count=5000 workers=8
  wilor-yolo synth clips  out=clips count=20 seconds=3

A run that was stopped goes on where it was.

crops, single hands for the reconstructor [defaults]:
{describe_keys(CropOptions)}
scenes, pictures with people for the detector [defaults]:
{describe_keys(SceneOptions)}
clips, hands in motion with the truth of every frame, for tests [defaults]:
{describe_keys(ClipOptions)}
"""


def run(args: list[str]) -> int:
    """Run the verb."""
    part, rest = choose("synth", args, ("crops", "scenes", "clips"))
    if part == "crops":
        options = read_keys(CropOptions, rest, "synth crops")
        from ..synth.generate_crops import generate_crops

        paths = generate_crops(
            Path(options.out),
            options.count,
            options.seed,
            options.workers,
            options.size,
            options.photos,
            options.rays,
        )
        print(f"{len(paths)} shards in {options.out}")
        return 0
    if part == "clips":
        return _clips(read_keys(ClipOptions, rest, "synth clips"))
    scenes = read_keys(SceneOptions, rest, "synth scenes")
    from ..synth.generate_scenes import generate_scenes
    from ..synth.people_scene import KINDS

    made = generate_scenes(
        scenes.out,
        scenes.count,
        scenes.seed,
        scenes.workers,
        scenes.size,
        scenes.start,
        scenes.kinds or tuple(KINDS),
    )
    print(f"{made.written} scenes written to {scenes.out}, {made.skipped} were there")
    return 0


def _clips(options: ClipOptions) -> int:
    from ..synth.generate_clips import ClipSettings, generate_clips

    settings = ClipSettings(
        options.seed,
        options.seconds,
        options.fps,
        options.width,
        options.height,
        options.rays,
    )
    clips = generate_clips(options.out, options.count, settings, options.workers)
    print(f"{len(clips)} clips in {options.out}")
    return 0
