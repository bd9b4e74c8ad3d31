"""`HandPipeline`: detector and reconstructor in one call, and their way through a video."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, overload
from weakref import WeakKeyDictionary

import numpy as np

from . import devices
from .detect.stock_files import require_tracker
from .detect.working_point import CONFIDENCE, IOU
from .errors import HandError
from .hands import Hands
from .images import from_pillow, read_image
from .skeleton import LEFT, RIGHT
from .sources import (
    VIDEO_SUFFIXES,
    Frame,
    Pictures,
    find_source,
    read_frames,
    require_stride,
)

if TYPE_CHECKING:
    from .detect.model import HandDetector
    from .reconstruct.predictor import HandReconstructor

__all__ = [
    "HandPipeline",
    "SideVote",
    "can_track",
]

DETECT_BATCH = 16  # pictures of one size that the detector sees at once; bounds memory

_Picture = Any  # a path, a BGR array (H, W, 3) uint8, or a Pillow picture


def can_track() -> bool:
    """Whether Ultralytics' trackers can run: they need `lap`, which is an extra."""
    return find_spec("lap") is not None


class HandPipeline:
    """Find every hand in a picture and rebuild each one in 3D.

    On a CPU the detector leaves one core free: Ultralytics sets torch's threads so, for the whole
    process. Keep it that way: with a thread a core, any other busy program makes the threads wait
    for each other (benchmarks/chain.py on two cores: 10.4 pictures/s became 2.6).

    Args:
        detector: a `HandDetector`, the path of a detector file, or None for the shipped weights.
        reconstructor: a `HandReconstructor`, the path of a weight file, or None for the shipped
            weights.
        hand_model: MANO file for the reconstructor; only with a path or None as `reconstructor`.
        reconstructor_backend: what runs the reconstructor, as `HandReconstructor`'s `backend`;
            likewise.
        hand_length: metres from wrist to the tip of the middle finger of all hands, if known;
            fixes their size and distance (:mod:`wilor_yolo.reconstruct.hand_size`).
        device: torch device of both networks, such as ``"cpu"``, ``"cuda:0"``, ``0`` or ``"auto"``;
            an exported reconstructor runs on the CPU, a `HandReconstructor` where it was made.
        conf: lowest detector score of a hand, 0 to 1.
        imgsz: longer side of the picture the detector sees, px; by default what it was trained at.
        iou: overlap (intersection over union) above which two boxes count as one hand.

    Raises:
        WeightsError: a weight file is missing or foreign.
        HandError: no such device.
    """

    def __init__(
        self,
        detector: HandDetector | str | Path | None = None,
        reconstructor: HandReconstructor | str | Path | None = None,
        *,
        hand_model: str | Path | None = None,
        reconstructor_backend: str | None = None,
        hand_length: float | None = None,
        device: str | int = "cpu",
        conf: float = CONFIDENCE,
        imgsz: int | None = None,
        iou: float = IOU,
    ) -> None:
        # Late: importing the pipeline must not cost loading two frameworks.
        from .detect.model import HandDetector
        from .reconstruct.export import is_exported
        from .reconstruct.hand_size import check_lengths
        from .reconstruct.predictor import HandReconstructor

        torch_device = devices.torch_device(device)
        if detector is None or isinstance(detector, (str, Path)):
            detector = HandDetector(detector)
        if reconstructor is None or isinstance(reconstructor, (str, Path)):
            exported = reconstructor is not None and is_exported(reconstructor)
            on_cpu = exported or reconstructor_backend not in (None, "torch")
            reconstructor = HandReconstructor(
                reconstructor,
                hand_model=hand_model,
                device="cpu" if on_cpu else torch_device,
                backend=reconstructor_backend,
            )
        elif hand_model is not None or reconstructor_backend is not None:
            raise HandError(
                "give hand_model and backend to HandReconstructor, or no reconstructor object here"
            )
        if not hasattr(detector, "image_size"):
            raise HandError(f"detector is a {type(detector).__name__}; give a HandDetector(path).")
        if not hasattr(reconstructor, "reconstruct_boxes"):
            name = type(reconstructor).__name__
            raise HandError(f"reconstructor is a {name}; give a HandReconstructor(path).")
        if hand_length is not None:
            check_lengths(hand_length)
        for name, value in (("conf", conf), ("iou", iou)):
            if not (isinstance(value, Real) and 0 <= value <= 1):
                raise HandError(f"{name} is a number from 0 to 1, not {value!r}.")
        if imgsz is not None and not (isinstance(imgsz, Integral) and imgsz > 0):
            raise HandError(f"imgsz is a whole number of px, not {imgsz!r}.")
        self.detector = detector
        self.reconstructor = reconstructor
        self.hand_length = hand_length
        # Ultralytics takes Python's own numbers only.
        self.conf, self.iou = float(conf), float(iou)
        self.imgsz = detector.image_size if imgsz is None else int(imgsz)
        self.device = torch_device

    @overload  # a str is a Sequence too, of what no picture is
    def __call__(  # type: ignore[overload-overlap]
        self, source: Sequence[_Picture], K: np.ndarray | Sequence[np.ndarray | None] | None = None
    ) -> list[Hands]: ...

    @overload
    def __call__(self, source: _Picture, K: np.ndarray | None = None) -> Hands: ...

    def __call__(self, source: Any, K: Any = None) -> Any:
        """Hands of one picture, or of each of a list of pictures.

        Args:
            source: path of a picture, BGR array (H, W, 3) uint8, PIL picture, or a list of these. A
                list is read, detected and reconstructed in one go and must fit in memory.
            K: (3, 3) intrinsics in px for all pictures, or a list with one a picture. By default,
                and for None in the list, the focal length of a file's EXIF data, else
                max(width, height).

        Returns:
            `Hands` (perhaps none: ``len(hands) == 0``), or a list of them in the order given.

        Raises:
            ImageError: a picture cannot be read.
            HandError: wrong array or `K`, or a video.
        """
        if isinstance(source, (str, Path, np.ndarray)) or _is_pil(source):
            return self._run([source], None if K is None else [_matrix(K)])[0]
        if not isinstance(source, Sequence):
            raise HandError(
                f"source is a {type(source).__name__}; give a path, a BGR array or a list of them."
            )
        return self._run(list(source), _one_a_picture(K, len(source)))

    def stream(
        self,
        source: str | Path | int | Iterable[np.ndarray],
        K: np.ndarray | None = None,
        *,
        track: bool | None = None,
        tracker: str = "bytetrack.yaml",
        stride: int = 1,
        max_frames: int | None = None,
    ) -> Iterator[tuple[Frame, Hands]]:
        """Hands of each frame of a video, frame by frame.

        With tracking a hand keeps its `track_id`, and its side is the one its track was most
        often and most surely seen as so far: a hand does not change sides at a single frame. Of
        a hand that appears after the first frame the tracker waits for a second one: where every
        frame counts, give ``track=False``. One tracked stream at a time; a second one needs a
        pipeline with a detector of its own.

        Args:
            source: video file, number of a camera, or your own frames: anything that gives BGR
                arrays (H, W, 3) uint8 one after the other, such as a generator. The `time` of
                frames of your own is that of this machine when they came, from the first one.
            K: (3, 3) intrinsics, px.
            track: follow hands through the video; None: when the extra `track` is installed.
            tracker: name or path of an Ultralytics tracker file.
            stride: take every `stride`-th frame.
            max_frames: stop after that many frames.

        Raises:
            ImageError: the video cannot be read.
            HandError: `stride` or `max_frames` is too small; a frame of yours is no BGR array;
                there is no such tracker; tracking was asked for and `lap` is missing; another
                tracked stream of this detector began before this one ended.
        """
        if max_frames is not None and max_frames < 0:
            raise HandError(f"max_frames={max_frames} should be 0 or more, or None for all.")
        if isinstance(source, (str, PathLike, int)):
            video = find_source(source)
            if isinstance(video, Pictures):
                raise HandError(f"{source} is no video; call the pipeline itself for pictures.")
            frames = read_frames(video, stride=stride, max_frames=max_frames)
        elif isinstance(source, Iterable):
            frames = islice(_own_frames(source, stride), max_frames)
        else:
            raise HandError(
                f"source is a {type(source).__name__}; give a path, the number of a camera, or "
                "frames one after the other (a list or a generator of BGR arrays)."
            )
        if track and not can_track():
            raise HandError("tracking needs lap; install wilor_yolo[track] or switch it off.")
        follow = can_track() if track is None else track
        if follow:
            require_tracker(tracker)
        vote = SideVote()
        if follow:
            _last_tracked[self.detector] = vote
        # Ultralytics resets its tracker when told not to persist: at the first frame only.
        persist = False
        for frame in frames:
            if not _can_letterbox(frame.image, self.imgsz):
                yield frame, self._nothing(frame.image, K)
                continue
            if not follow:
                result = self.detect([frame.image])[0]
                yield frame, self.reconstructor.reconstruct(result, K, hand_length=self.hand_length)
                continue
            if _last_tracked.get(self.detector) is not vote:
                raise HandError(
                    "another tracked stream of this detector began; make for each a HandPipeline "
                    "with a HandDetector of its own."
                )
            tracked: Any = self.detector.track(
                frame.image, persist=persist, tracker=tracker, **self._settings()
            )
            persist = True
            yield frame, self._of_one_side(tracked[0], vote, K)

    def _of_one_side(self, result: Any, vote: SideVote, K: np.ndarray | None) -> Hands:
        """Hands of a tracked frame, each of the side that leads on its track."""
        hands = self.reconstructor.reconstruct(result, K, hand_length=self.hand_length)
        if hands.track_id is None:
            return hands
        # What the crop showed votes, for it is surer of sides than the detector.
        ballots = zip(
            hands.track_id.tolist(), hands.is_right.tolist(), hands.confidence.tolist(), strict=True
        )
        sides = [vote.add(track, RIGHT if right else LEFT, s) for track, right, s in ballots]
        if [side == RIGHT for side in sides] == hands.is_right.tolist():
            return hands
        data = result.boxes.data.clone()  # results are inference tensors: not to be written to
        data[:, -1] = data.new_tensor(sides)
        result.update(boxes=data)
        return self.reconstructor.reconstruct(
            result, K, hand_length=self.hand_length, check_sides=False
        )

    def detect(self, images: Sequence[np.ndarray]) -> list[Any]:
        """Ultralytics `Results` of BGR arrays, in order; pictures of one size share a batch.

        Pictures of different sizes are not batched: Ultralytics would then pad all to a square,
        and what comes out for a picture would depend on its neighbours.
        """
        results: list[Any] = [None] * len(images)
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, image in enumerate(images):
            by_shape[image.shape].append(i)
        for indices in by_shape.values():
            for start in range(0, len(indices), DETECT_BATCH):
                chunk = indices[start : start + DETECT_BATCH]
                found = self.detector.predict([images[i] for i in chunk], **self._settings())
                for i, result in zip(chunk, found, strict=True):
                    results[i] = result
        return results

    def _run(self, sources: list[_Picture], K: list[np.ndarray | None] | None) -> list[Hands]:
        images = [_picture(source) for source in sources]
        usable = [i for i, image in enumerate(images) if _can_letterbox(image, self.imgsz)]
        results = dict(zip(usable, self.detect([images[i] for i in usable]), strict=True))
        hands: dict[int, Hands] = {}
        for i, result in results.items():
            source = sources[i]
            if isinstance(source, (str, PathLike)):
                result.path = str(Path(source).absolute())  # as Ultralytics names files
        for chosen, matrix in _by_camera(K, usable):
            done = self.reconstructor.reconstruct(
                [results[i] for i in chosen], matrix, hand_length=self.hand_length
            )
            hands.update(zip(chosen, done, strict=True))
        for i, image in enumerate(images):
            if i not in hands:
                hands[i] = self._nothing(image, None if K is None else K[i])
        return [
            _with_source(hands[i], str(source)) if isinstance(source, (str, PathLike)) else hands[i]
            for i, source in enumerate(sources)
        ]

    def _nothing(self, image: np.ndarray, K: np.ndarray | None) -> Hands:
        return self.reconstructor.reconstruct_boxes(image, np.zeros((0, 4)), np.zeros(0, bool), K)

    def _settings(self) -> dict[str, Any]:
        return {
            "conf": self.conf,
            "imgsz": self.imgsz,
            "iou": self.iou,
            "device": self.device,
            "verbose": False,
            "save": False,
        }


class SideVote:
    """Which side the hands of a video are, by the votes of the frames so far.

    Every frame a track is seen in votes for the side that was seen, with the detector's score as
    weight. Ties keep the present frame's side.
    """

    def __init__(self) -> None:
        self._votes: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, track_id: int, side: int, score: float) -> int:
        """Count one vote and return the side that leads.

        Args:
            track_id: the track.
            side: LEFT or RIGHT as seen in this frame.
            score: detector score, 0 to 1.
        """
        votes = self._votes[track_id]
        votes[side] += score
        if votes[LEFT] == votes[RIGHT]:
            return side
        return LEFT if votes[LEFT] > votes[RIGHT] else RIGHT


# Detector -> vote of the tracked stream that began last. A detector has one tracker, which all
# pipelines it was given to would share.
_last_tracked: WeakKeyDictionary[Any, SideVote] = WeakKeyDictionary()


def _picture(source: _Picture) -> np.ndarray:
    if isinstance(source, (str, PathLike)):
        if Path(source).suffix.lower() in VIDEO_SUFFIXES:
            raise HandError(f"{source} is a video; its frames come from HandPipeline.stream.")
        return read_image(Path(source))
    if _is_pil(source):
        return from_pillow(source)
    if not isinstance(source, np.ndarray):
        raise HandError(f"a picture is a {type(source).__name__}; give a path or a BGR array.")
    if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8 or 0 in source.shape:
        raise HandError(
            f"expected a BGR picture (H, W, 3) of uint8, got {source.shape} of {source.dtype}; "
            "cv2.cvtColor makes one of grey (COLOR_GRAY2BGR) or of four channels (COLOR_BGRA2BGR)."
        )
    return np.ascontiguousarray(source)


def _is_pil(source: Any) -> bool:
    """Whether it is a Pillow picture, which then is imported already."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(source, pillow.Image)


def _own_frames(images: Iterable[np.ndarray], stride: int) -> Iterator[Frame]:
    """Frames of arrays that come from anywhere."""
    require_stride(stride)
    start = None
    for index, image in enumerate(images):
        now = monotonic()
        start = now if start is None else start
        if index % stride == 0:
            yield Frame(index, now - start, _picture(image))


def _can_letterbox(image: np.ndarray, imgsz: int) -> bool:
    """Whether a picture scaled to `imgsz` keeps a pixel of its shorter side.

    In a thinner strip there is no hand to find, and Ultralytics fails on it.
    """
    height, width = image.shape[:2]
    return round(min(height, width) * imgsz / max(height, width)) >= 1


def _with_source(hands: Hands, source: str) -> Hands:
    return hands if hands.source == source else replace(hands, source=source)


def _one_a_picture(K: Any, count: int) -> list[np.ndarray | None] | None:
    if K is None:
        return None
    try:
        shared = np.ndim(K) == 2
    except ValueError:  # None stands among the matrices
        shared = False
    if shared:
        return [_matrix(K)] * count
    if not isinstance(K, (Sequence, np.ndarray)):
        raise HandError(f"K is a (3, 3) matrix, or a list with one a picture; got {K!r}.")
    if len(K) != count:
        raise HandError(f"{count} pictures need one K or {count}, got {len(K)}.")
    return [None if matrix is None else _matrix(matrix) for matrix in K]


def _matrix(K: Any) -> np.ndarray:
    try:
        return np.asarray(K, np.float32)
    except (TypeError, ValueError):  # ragged, or no numbers
        raise HandError(f"K is a (3, 3) camera matrix in pixels; got {K!r}.") from None


def _by_camera(
    K: list[np.ndarray | None] | None, indices: list[int]
) -> Iterator[tuple[list[int], np.ndarray | None]]:
    """Pictures that can share a call of the reconstructor: those with one K."""
    if K is None:
        if indices:
            yield indices, None
        return
    groups: dict[bytes | None, list[int]] = defaultdict(list)
    for i in indices:
        matrix = K[i]
        groups[None if matrix is None else matrix.tobytes()].append(i)
    for chosen in groups.values():
        yield chosen, K[chosen[0]]
