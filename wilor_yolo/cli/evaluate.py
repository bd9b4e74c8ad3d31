"""``wilor-yolo evaluate detection|reconstruction|chain|freihand|ho3d|hint``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import HandError
from . import evaluate_detection, evaluate_sets
from .evaluate_sets import progress
from .keys import describe_keys, key, maybe, read_keys, text, whole
from .shared_keys import detector_key, device_key, hand_model_key, imgsz_key, reconstructor_key
from .verbs import choose

if TYPE_CHECKING:
    import numpy as np

    from ..hands import Hands

__all__ = ["HELP", "run"]


@dataclass(frozen=True)
class ReconstructionOptions:
    """The keys of ``evaluate reconstruction``."""

    data: str = key(..., text, "folder of pictures with a labels.jsonl, or of shards")
    reconstructor: str | None = reconstructor_key()
    hand_model: str | None = hand_model_key()
    device: str = device_key()
    limit: int | None = key(None, maybe(whole(1)), "shards: at most so many samples")


@dataclass(frozen=True)
class ChainOptions:
    """The keys of ``evaluate chain``."""

    data: str = key(..., text, "folder of pictures with a labels.jsonl")
    detector: str | None = detector_key()
    reconstructor: str | None = reconstructor_key()
    hand_model: str | None = hand_model_key()
    imgsz: int | None = imgsz_key()
    device: str = device_key()


HELP = f"""\
wilor-yolo evaluate: measure on annotated data

  wilor-yolo evaluate detection      data=pictures detector=best.pt imgsz=320
  wilor-yolo evaluate detection      data=pictures detector=mediapipe mediapipe=mediapipe.whl
  wilor-yolo evaluate detection      data=hands/data.yaml detector=theirs.json
  wilor-yolo evaluate detection      format=oxford-hands data=hand_dataset
  wilor-yolo evaluate reconstruction data=pictures
  wilor-yolo evaluate reconstruction data=shards/val reconstructor=final.safetensors
  wilor-yolo evaluate chain          data=pictures
  wilor-yolo evaluate freihand       root=FreiHAND_pub_v2_eval
  wilor-yolo evaluate ho3d           root=HO3D_v2 version=v2 pred=theirs/pred.zip
  wilor-yolo evaluate hint           data=TEST_newdays_img_all.npz images=TEST_newdays_img

{evaluate_detection.HELP}reconstruction, from true boxes [defaults]:
{describe_keys(ReconstructionOptions)}
chain, detector and reconstructor together [defaults]:
{describe_keys(ChainOptions)}
{evaluate_sets.HELP}"""


def run(args: list[str]) -> int:
    """Run the verb."""
    parts = {
        "detection": evaluate_detection.detection,
        "reconstruction": _reconstruction,
        "chain": _chain,
        "freihand": evaluate_sets.freihand,
        "ho3d": evaluate_sets.ho3d,
        "hint": evaluate_sets.hint,
    }
    part, rest = choose("evaluate", args, tuple(parts))
    return parts[part](rest)


def _reconstruction(args: Sequence[str]) -> int:
    options = read_keys(ReconstructionOptions, args, "evaluate reconstruction")
    from ..evaluate.reconstruction import evaluate_pictures, evaluate_shards
    from ..reconstruct.predictor import HandReconstructor

    reconstructor = HandReconstructor(
        options.reconstructor,
        hand_model=options.hand_model,
        device=options.device,
    )
    if (Path(options.data) / "labels.jsonl").is_file():
        if options.limit is not None:
            raise HandError("limit= is for shards; leave it out.")
        with progress("pictures") as report:
            print(evaluate_pictures(reconstructor, options.data, progress=report))
    else:
        # An exported network does not give its hand away.
        hand = getattr(reconstructor.network, "hand", None)
        print(evaluate_shards(reconstructor, options.data, hand, limit=options.limit))
    return 0


def _chain(args: Sequence[str]) -> int:
    options = read_keys(ChainOptions, args, "evaluate chain")
    from ..evaluate.chain import evaluate_chain
    from ..evaluate.reconstruction import known_or_own
    from ..pipeline import HandPipeline

    pipeline = HandPipeline(
        options.detector,
        options.reconstructor,
        hand_model=options.hand_model,
        device=options.device,
        imgsz=options.imgsz,
    )

    def chain(source: np.ndarray, K: np.ndarray | None = None) -> Hands:
        return pipeline(source, known_or_own(K, pipeline.reconstructor, source))

    with progress("pictures") as report:
        print(evaluate_chain(chain, options.data, progress=report))
    return 0
