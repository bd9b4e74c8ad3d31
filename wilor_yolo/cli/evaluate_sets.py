"""``wilor-yolo evaluate freihand|ho3d|hint``: the protocols of public benchmarks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import HandError
from ..whole_files import write_text
from .folder import folder_of_run
from .keys import choice, describe_keys, key, maybe, read_keys, text, whole
from .shared_keys import device_key, hand_model_key, heads_key, reconstructor_key

if TYPE_CHECKING:
    from ..evaluate.frames import EvaluationFrame, EvaluationTruth, FramePredictions
    from ..metrics.challenge import ChallengeScores
    from ..reconstruct.predictor import HandReconstructor

__all__ = ["HELP", "freihand", "hint", "ho3d", "progress"]

_MESHES = "; meshes of the free hand do not match MANO's truth"
_OUT = "folder for scores.json, and pred.json and pred.zip of a reconstructor"
_PRED = "score this pred.json or zip (anybody's) instead of running a reconstructor"


@dataclass(frozen=True)
class FreihandOptions:
    """The keys of ``evaluate freihand``."""

    root: str = key(..., text, "folder with evaluation_xyz.json, _verts.json, _K.json, evaluation/")
    pred: str | None = key(None, maybe(text), _PRED)
    reconstructor: str | None = reconstructor_key()
    hand_model: str | None = hand_model_key(_MESHES)
    heads: int | None = heads_key()
    device: str = device_key()
    limit: int | None = key(None, maybe(whole(1)), "the first so many pictures only")
    out: str | None = key(None, maybe(text), _OUT, "runs/evaluate/freihand; none with pred=")


@dataclass(frozen=True)
class Ho3dOptions:
    """The keys of ``evaluate ho3d``."""

    root: str = key(..., text, "folder with evaluation.txt, evaluation/ and the public truth")
    version: str = key("v2", choice("v2", "v3"), "of the set")
    pred: str | None = key(None, maybe(text), _PRED)
    reconstructor: str | None = reconstructor_key()
    hand_model: str | None = hand_model_key(_MESHES)
    heads: int | None = heads_key()
    device: str = device_key()
    limit: int | None = key(None, maybe(whole(1)), "the first so many pictures only")
    out: str | None = key(None, maybe(text), _OUT, "runs/evaluate/ho3d; none with pred=")


@dataclass(frozen=True)
class HintOptions:
    """The keys of ``evaluate hint``."""

    data: str = key(..., text, "HaMeR's TEST_..._img_{all,vis,occ}.npz")
    images: str = key(..., text, "folder of its pictures")
    reconstructor: str | None = reconstructor_key()
    hand_model: str | None = hand_model_key()
    heads: int | None = heads_key()
    device: str = device_key()
    limit: int | None = key(None, maybe(whole(1)), "the first so many hands only")


HELP = f"""\
freihand: its protocol, beside Table 3 of the paper; boxes from the true joints [defaults]:
{describe_keys(FreihandOptions)}
ho3d: its protocol, beside Table 4 of the paper (v2); boxes of the set [defaults]:
{describe_keys(Ho3dOptions)}
hint: PCK at 0.05, 0.1 and 0.15 of the box [defaults]:
{describe_keys(HintOptions)}
"""


def freihand(args: Sequence[str]) -> int:
    """Run ``evaluate freihand``."""
    options = read_keys(FreihandOptions, args, "evaluate freihand")
    from ..evaluate.challenge_files import prediction_file
    from ..evaluate.freihand import SCALE_BONE, read_freihand_frames, read_freihand_truth
    from ..evaluate.paper_tables import freihand_table, variants

    truth = read_freihand_truth(options.root)
    with _folder(options, "freihand") as out:
        if options.pred is not None:
            joints, vertices = _theirs(options.pred, len(truth.joints), options.limit)
            made_by = prediction_file(options.pred)
        else:
            frames = read_freihand_frames(options.root, truth)[: options.limit]
            result, made_by = _run(options, frames)
            joints, vertices = result.joints, result.vertices
            _write(options, out, joints, vertices)
        scores = _score(joints, vertices, truth, SCALE_BONE)
        print(freihand_table(scores, _name(options)))
        print(variants(scores))
        _record(out, made_by, options, scores)
    return 0


def ho3d(args: Sequence[str]) -> int:
    """Run ``evaluate ho3d``."""
    options = read_keys(Ho3dOptions, args, "evaluate ho3d")
    from ..evaluate.challenge_files import prediction_file
    from ..evaluate.ho3d import (
        FRAMES,
        SCALE_BONE,
        read_ho3d_frames,
        read_ho3d_truth,
        to_ho3d_axes,
    )
    from ..evaluate.paper_tables import ho3d_table, variants

    truth = read_ho3d_truth(options.root)
    with _folder(options, "ho3d") as out:
        if options.pred is not None:
            if truth is None:
                raise HandError(
                    f"{options.root} has no evaluation_xyz.json and evaluation_verts.json; "
                    "download the public truth beside evaluation.txt."
                )
            joints, vertices = _theirs(options.pred, len(truth.joints), options.limit)
            made_by = prediction_file(options.pred)
        else:
            frames = read_ho3d_frames(options.root)
            if truth is not None and len(frames) != len(truth.joints):
                raise HandError(
                    f"evaluation.txt lists {len(frames)} frames, the truth has "
                    f"{len(truth.joints)}; they are of different versions."
                )
            if len(frames) != FRAMES[options.version]:
                print(
                    f"note: {len(frames)} frames; HO3D {options.version} has "
                    f"{FRAMES[options.version]}",
                    file=sys.stderr,
                )
            result, made_by = _run(options, frames[: options.limit])
            joints, vertices = to_ho3d_axes(result.joints, result.vertices)
            _write(options, out, joints, vertices)
        if truth is None:
            print(
                "No evaluation_xyz.json and evaluation_verts.json there: nothing to score against."
            )
            return 0
        scores = _score(joints, vertices, truth, SCALE_BONE)
        if options.version == "v2":
            print(ho3d_table(scores, _name(options)))
        else:
            print(f"HO3D v3, {scores.count} hands; the paper has no table of it")
            print(
                f"PA-MPJPE {scores.pa_mpjpe:.2f} mm   PA-MPVPE {scores.pa_mpvpe:.2f} mm   "
                f"F@5 {scores.f5:.3f}   F@15 {scores.f15:.3f}"
            )
        print(variants(scores))
        _record(out, made_by, options, scores)
    return 0


def hint(args: Sequence[str]) -> int:
    """Run ``evaluate hint``."""
    options = read_keys(HintOptions, args, "evaluate hint")
    from ..evaluate.hint import HintSet, hint_pck, read_hint

    truth = read_hint(options.data, options.images)
    part = slice(None, options.limit)
    truth = HintSet(truth.frames[part], truth.keypoints[part], truth.box_side[part])
    result, _ = _run(options, truth.frames)
    for threshold, share in hint_pck(result.keypoints_2d, truth).items():
        print(f"PCK@{threshold:g}  {share:.3f}")
    print(f"{len(truth.frames)} hands of {options.data}")
    return 0


def _folder(
    options: FreihandOptions | Ho3dOptions, name: str
) -> AbstractContextManager[Path | None]:
    """Where to write; tried before the work."""
    if options.pred is None:
        return folder_of_run(options.out or f"runs/evaluate/{name}")
    for word in ("reconstructor", "hand_model", "heads"):
        if getattr(options, word) is not None:
            raise HandError(f"{word}= goes without pred=, which is scored as it is.")
    return nullcontext() if options.out is None else folder_of_run(options.out)


def _theirs(path: str, count: int, limit: int | None) -> tuple[Any, Any]:
    from ..evaluate.challenge_files import read_predictions

    joints, vertices = read_predictions(path)
    if len(joints) != count:
        raise HandError(f"{path} predicts {len(joints)} hands, the truth has {count}.")
    return joints[:limit], vertices[:limit]


def _run(
    options: FreihandOptions | Ho3dOptions | HintOptions, frames: list[EvaluationFrame]
) -> tuple[FramePredictions, Path]:
    """What the reconstructor says of the frames, and the file of its weights."""
    from ..evaluate.frames import predict_frames

    reconstructor = _reconstructor(options)
    with progress("pictures") as report:
        return predict_frames(reconstructor, frames, report), reconstructor.weights


def _reconstructor(options: FreihandOptions | Ho3dOptions | HintOptions) -> HandReconstructor:
    from ..reconstruct.predictor import HandReconstructor

    return HandReconstructor(
        options.reconstructor,
        hand_model=options.hand_model,
        device=options.device,
        heads=options.heads,
    )


def _write(
    options: FreihandOptions | Ho3dOptions, out: Path | None, joints: Any, vertices: Any
) -> None:
    from ..evaluate.challenge_files import write_predictions

    assert out is not None
    file = write_predictions(out, joints, vertices)
    if options.limit is None:
        print(f"Predictions, as the challenge takes them: {file}")
    else:
        print(f"Predictions, too few for the challenge (leave limit= out): {file}")


def _score(
    joints: Any, vertices: Any, truth: EvaluationTruth, bone: tuple[int, int]
) -> ChallengeScores:
    from ..metrics.challenge import score_hands

    count = len(joints)
    return score_hands(joints, vertices, truth.joints[:count], truth.vertices[:count], bone)


def _name(options: FreihandOptions | Ho3dOptions) -> str:
    if options.pred is not None:
        path = Path(options.pred)
        return path.parent.name if path.stem == "pred" and path.parent.name else path.stem
    return "ours" if options.reconstructor is None else Path(options.reconstructor).stem


def _record(
    out: Path | None,
    made_by: Path,
    options: FreihandOptions | Ho3dOptions,
    scores: ChallengeScores,
) -> None:
    """Scores with what they were made from, so that a number in a table can be traced."""
    if out is None:
        return
    from .weights import sha256

    made = {"pred": made_by.name}
    if options.pred is None:
        made = {"reconstructor": made_by.name, "hand_model": options.hand_model or "free hand"}
    record = {
        "root": options.root,
        **made,
        "sha256": sha256(made_by),
        "limit": options.limit,
        **{k: None if v != v else v for k, v in scores.numbers().items()},
    }
    write_text(out / "scores.json", json.dumps(record, indent=1))


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal; call what it gives with (done, all)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
