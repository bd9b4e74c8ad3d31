"""Write scenes with people as a YOLO-pose data set for the hand detector.

    out/images/<seed>_<number>.jpg     out/labels/<seed>_<number>.txt     out/scenes.yaml
    out/truth/<seed>_<number>.json (the joints in space)     out/scenes.json (the settings)

Class 0 is a left hand, 1 a right hand, whatever the picture's direction. A picture depends on
(seed, number), the size and the kinds only, so runs can be cut short, continued and split over
machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ..detect.data_yaml import data_yaml_text
from ..errors import HandError
from ..kept_settings import keep_settings
from ..spread import spread
from ..whole_files import write_bytes, write_text
from .one_thread import one_thread
from .people_scene import KINDS, sample_scene

__all__ = ["RenderedScene", "ScenesWritten", "generate_scenes", "render_scene"]

ENGINE = 4  # raise when the same seed makes other pictures than before
_SETTINGS_FILE = "scenes.json"
_SHAPES = ((1.0, 1.0), (1.0, 0.75), (0.75, 1.0), (1.0, 0.5625))  # of the larger side
_SHAPE_SHARES = (0.5, 0.25, 0.15, 0.10)
_QUALITY = 90
_SOFT_BACKGROUNDS = 0.5  # share drawn at half size: out of focus, and four times as fast
_DARKEST = 0.17  # exposure below which nobody could tell a hand any more
_LARGEST_LAMP = 0.012  # one shadow ray a pixel would turn larger lamps into grain
_METERED_ON_PEOPLE = 0.65  # share of pictures whose exposure is right for the people in them

_Job = tuple[str, int, int, int, tuple[str, ...]]  # folder, seed, number, size, kinds


@dataclass(frozen=True)
class RenderedScene:
    """A picture (H, W, 3) uint8 BGR, the texts of its label and truth files, its kind."""

    image: np.ndarray
    labels: str
    truth: str
    kind: str


@dataclass(frozen=True)
class ScenesWritten:
    """How many pictures a run wrote and how many were there already."""

    written: int
    skipped: int
    hands: int
    seconds: float


def render_scene(
    seed: int, number: int, size: int = 640, kinds: Sequence[str] = tuple(KINDS)
) -> RenderedScene:
    """Make one picture; the same (seed, number, size, kinds) always gives the same.

    Args:
        size: larger side, px.
        kinds: names of `people_scene.KINDS` to draw from.

    Raises:
        HandError: the packages of the `synth` extra are missing.
    """
    from .background import draw_background
    from .camera_effects import develop, sample_effects
    from .light import sample_lighting
    from .people_render import Stage, render_view
    from .scene_labels import label_hands, label_lines, truth_text

    rng = np.random.default_rng((seed, number))
    shape = _SHAPES[int(rng.choice(len(_SHAPES), p=_SHAPE_SHARES))]
    width, height = (max(32, round(size * side)) for side in shape)
    scene = sample_scene(rng, width, height, kinds)
    lighting = sample_lighting(rng)
    scale = 0.5 if rng.random() < _SOFT_BACKGROUNDS else 1.0
    small = (max(16, round(width * scale)), max(16, round(height * scale)))
    background = draw_background(rng, *small, lighting).image
    if scale < 1:
        background = cv2.resize(background, (width, height), interpolation=cv2.INTER_LINEAR)
    stage = Stage.of(scene.pieces)
    lighting = replace(lighting, key_size=min(lighting.key_size, _LARGEST_LAMP))
    view = render_view(stage, scene.intrinsics, background, lighting, rng)
    labels = label_hands(scene.hands, stage, view, scene.intrinsics)
    # Distances in a whole scene are fewer pixels long than in the close-ups the camera is
    # made for.
    effects = sample_effects(rng, size)
    effects = replace(
        effects,
        exposure=max(effects.exposure, _DARKEST),
        defocus=0.5 * effects.defocus,
        motion=(0.6 * effects.motion[0], 0.6 * effects.motion[1]),
        low_resolution=min(effects.low_resolution, 2.2),
    )
    rest = 0.1 if rng.random() < _METERED_ON_PEOPLE else 0.5
    metered = np.where(np.isfinite(view.depth), 1.0, rest)
    image = develop(view.image, effects, rng, metered)
    return RenderedScene(
        image,
        label_lines(labels, width, height),
        truth_text(labels, scene.intrinsics, scene.kind),
        scene.kind,
    )


def generate_scenes(
    out: str | Path,
    count: int,
    seed: int = 0,
    workers: int = 1,
    size: int = 640,
    start: int = 0,
    kinds: Sequence[str] = tuple(KINDS),
) -> ScenesWritten:
    """Write `count` scenes; existing pictures are kept, so a stopped run can be continued.

    Args:
        out: folder; `images`, `labels` and `scenes.yaml` are made in it. Seeds may share one.
        count: number of pictures, counted from `start`.
        workers: processes.
        size: larger side of the pictures, px.
        kinds: names of `people_scene.KINDS` to draw from, in its proportions.

    Raises:
        HandError: bad arguments, the folder holds scenes of another size, the packages of the
            `synth` extra are missing, or a worker died.
    """
    if count < 1 or workers < 1 or size < 64 or start < 0:
        raise HandError("count and workers must be at least 1, size at least 64, start at least 0.")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise HandError(f"kinds={unknown or list(kinds)}: choose from {', '.join(KINDS)}.")
    from . import light, raycast  # noqa: F401  fail here, in plain words, not in a worker
    from .extra import require

    require("embreex.rtcore_scene")
    out = Path(out)
    keep_settings(out / _SETTINGS_FILE, {"engine": ENGINE, "size": size, "kinds": list(kinds)})
    for folder in ("images", "labels", "truth"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    note = "# Synthetic scenes for the hand detector. Mirroring a picture swaps the classes.\n"
    write_text(out / "scenes.yaml", note + data_yaml_text(None, "images", "images"))
    began = time.time()
    todo = [
        (str(out), seed, number, size, tuple(kinds))
        for number in range(start, start + count)
        if not _is_done(out, seed, number)
    ]
    hands = 0
    for done, found in enumerate(spread(_worker, todo, min(workers, len(todo))), start=1):
        hands += found
        if done % 20 == 0 or done == len(todo):
            rate = done / (time.time() - began)
            print(f"{done}/{len(todo)} scenes, {hands} hands, {rate:.2f} scenes/s", flush=True)
    return ScenesWritten(len(todo), count - len(todo), hands, time.time() - began)


def _worker() -> Callable[[_Job], int]:
    return _write_scene


def _picture_path(out: Path, seed: int, number: int) -> Path:
    return out / "images" / f"{seed}_{number:06d}.jpg"


def _truth_path(out: Path, seed: int, number: int) -> Path:
    return out / "truth" / f"{seed}_{number:06d}.json"


def _is_done(out: Path, seed: int, number: int) -> bool:
    return all(path(out, seed, number).exists() for path in (_picture_path, _truth_path))


@one_thread()
def _write_scene(job: _Job) -> int:
    """Render and write one scene; returns its number of labelled hands."""
    folder, seed, number, size, kinds = job
    scene = render_scene(seed, number, size, kinds)
    picture = _picture_path(Path(folder), seed, number)
    encoded = cv2.imencode(".jpg", scene.image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    # The labels first: a run that is killed in between leaves no picture without them.
    write_text(Path(folder) / "labels" / f"{picture.stem}.txt", scene.labels)
    write_text(_truth_path(Path(folder), seed, number), scene.truth)
    write_bytes(picture, encoded.tobytes())
    return len(scene.labels.splitlines())
