"""The layout of the WHIM data set: one `.npy` a frame, with an entry for each hand.

`<part>/anno/<video>/<frame>.npy`, `<part>` being train or test. Written here as a structured array,
which numpy reads without pickle and whose entries answer `hand["bbox"]` like the dictionaries of
the released files. Those are pickles; :func:`read_frame` reads them without running anything.

Fields: `bbox` (4,) xyxy px, `side` (1 right, 0 left), `joints_3d` (21, 3) and `vertices` (778, 3)
metres, `trans` (3,) metres to add to them for the camera frame, `K` (3, 3), `joints_2d` (21, 2) px;
ours add `confidence` and `residual`. Two warnings about the released files: their `K` is a pseudo
focal length of 5000 / 256 times the longer side, and `joints_2d` may hold projected vertices.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import HandError, ImageError, WeightsError
from ..skeleton import NUM_JOINTS, NUM_VERTICES
from ..sources import ffmpeg_path
from ..unpickle import NUMPY_NAMES, Name, PickledArray, PickledScalar, Record, read_pickle
from ..whole_files import replacing

__all__ = [
    "WHIM_DTYPE",
    "WhimHand",
    "extract_frames",
    "read_frame",
    "read_video_ids",
    "write_frame",
]

WHIM_DTYPE = np.dtype(
    [
        ("bbox", np.float32, (4,)),
        ("side", np.int8),
        ("confidence", np.float32),
        ("residual", np.float32),
        ("joints_3d", np.float32, (NUM_JOINTS, 3)),
        ("joints_2d", np.float32, (NUM_JOINTS, 2)),
        ("vertices", np.float32, (NUM_VERTICES, 3)),
        ("K", np.float32, (3, 3)),
        ("trans", np.float32, (3,)),
    ]
)
_NEEDED = ("bbox", "side")
_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class WhimHand:
    """One hand of a frame; arrays as in the module's docstring, None when the file lacks them.

    `keypoints_2d` (21, 2) px is projected from the 3D joints when they are there.
    """

    bbox: np.ndarray
    is_right: bool
    joints_3d: np.ndarray | None = None
    vertices: np.ndarray | None = None
    trans: np.ndarray | None = None
    K: np.ndarray | None = None
    keypoints_2d: np.ndarray | None = None
    confidence: float = 1.0
    residual: float = float("nan")

    def resized(self, x: float, y: float) -> WhimHand:
        """The same hand in the picture scaled by `x` and `y`; the 3D stays, K changes."""
        scale = np.array([[x, 0, 0], [0, y, 0], [0, 0, 1]], np.float32)
        values = {**self.__dict__, "bbox": self.bbox * (x, y, x, y)}
        if self.K is not None:
            values["K"] = scale @ self.K
        if self.keypoints_2d is not None:
            values["keypoints_2d"] = self.keypoints_2d * (x, y)
        return WhimHand(**values)


def write_frame(path: str | Path, hands: np.ndarray) -> None:
    """Write the hands of a frame, an array of `WHIM_DTYPE`, whole or not at all."""
    if hands.dtype != WHIM_DTYPE:
        raise HandError(f"{path}: WHIM frames are arrays of WHIM_DTYPE.")
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, hands, allow_pickle=False)


def read_frame(path: str | Path) -> list[WhimHand]:
    """The hands of a frame, of our files and of the released ones.

    Raises:
        HandError: missing, damaged, or something else than a WHIM frame; a released file that
            asks for anything but arrays and tensors is refused, and nothing in it is run.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise HandError(f"{path} is too large for the hands of one frame.")
        data = path.read_bytes()
        entries = _entries(data)
        return [_hand(entry) for entry in entries]
    except OSError as error:
        raise HandError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, LookupError, TypeError, AttributeError, WeightsError) as error:
        raise HandError(f"{path} is no WHIM frame: {error}") from None


def read_video_ids(path: str | Path) -> dict[str, dict[str, Any]]:
    """The id list `train_video_ids.json` or `test_video_ids.json`: id -> `res` [H, W], `length` in
    frames, `fps` (0 in ours for a picture).

    Raises:
        HandError: the file has another layout.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        if isinstance(data, list):
            data = {
                str(entry["video_id"] if "video_id" in entry else entry["id"]): entry
                for entry in data
            }
        return {
            str(video): {
                "res": [int(side) for side in entry["res"]],
                "fps": float(entry["fps"]),
                "length": entry.get("length"),
            }
            for video, entry in data.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HandError(f"{path} is no WHIM list of videos ({error!r}).") from None


def extract_frames(
    video: str | Path,
    annotations: str | Path,
    fps: float,
    size: tuple[int, int],
) -> Iterator[tuple[int, np.ndarray, list[WhimHand]]]:
    """(number, picture BGR, hands) of the annotated frames of one downloaded video.

    Annotation `n` belongs to frame n * round(fps of the file / stored fps). Downloads often have
    another resolution than the annotations; boxes, K and 2D joints are scaled to the picture.

    Args:
        video: the video file, downloaded by a tool of your own.
        annotations: folder with its `<frame>.npy`.
        fps: stored frame rate, from the id list.
        size: stored (width, height), from the id list (`res` is [H, W]).

    Raises:
        ImageError: the video is missing or cannot be decoded.
        HandError: the folder holds no annotations.
    """
    files = {int(p.stem): p for p in Path(annotations).glob("*.npy") if p.stem.isdigit()}
    if not files:
        raise HandError(f"{annotations} holds no annotations (<frame>.npy).")
    if not Path(video).is_file():
        raise ImageError(f"{video} does not exist; download it first.")
    capture = cv2.VideoCapture(ffmpeg_path(video))
    try:
        stride = max(round(capture.get(cv2.CAP_PROP_FPS) / fps), 1) if fps > 0 else 1
        wanted = {number * stride: number for number in files}
        index = 0
        while index <= max(wanted) and capture.grab():
            if index in wanted:
                good, image = capture.retrieve()
                if good and image is not None:
                    number = wanted[index]
                    x, y = image.shape[1] / size[0], image.shape[0] / size[1]
                    hands = [hand.resized(x, y) for hand in read_frame(files[number])]
                    yield number, image, hands
            index += 1
        if index == 0:
            raise ImageError(f"{video} is damaged or no video we can read.")
    finally:
        capture.release()


def _entries(data: bytes) -> list[dict[str, Any]]:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"its format version {version} is unknown.")
    _, _, dtype = readers[version](file)
    if dtype.names:
        array = np.load(io.BytesIO(data), allow_pickle=False).reshape(-1)
        return [{name: entry[name] for name in dtype.names} for entry in array]
    if not dtype.hasobject:
        raise ValueError(f"it holds {dtype}.")
    pickled = read_pickle(data[file.tell() :], _WHIM_NAMES)
    # An array of objects keeps them in a list; numpy may also have pickled a plain list.
    entries = pickled.state[4] if isinstance(pickled, PickledArray) else pickled
    entries = entries if isinstance(entries, list) else [entries]
    if not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("its entries are no dictionaries.")
    return [{str(name): _plain(value) for name, value in entry.items()} for entry in entries]


class _Rebuilt(Record):
    """`torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...)`."""

    def numpy(self) -> np.ndarray:
        storage, offset, size, stride = self.args[:4]
        flat = storage.numpy() if isinstance(storage, _Storage) else None
        if flat is None or not all(isinstance(n, int) for n in (offset, *size, *stride)):
            raise WeightsError("a tensor in it has no contents")
        reach = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) + 1
        if min(offset, *size, *stride, 0) < 0 or (min(size, default=1) and reach > flat.size):
            raise WeightsError("a tensor in it does not fit its storage")
        strides = tuple(s * flat.itemsize for s in stride)
        view = np.lib.stride_tricks.as_strided(flat[offset:], tuple(size), strides)
        return view.copy()


class _Storage(Record):
    """`torch.storage._load_from_bytes(data)`: a storage saved by torch inside a pickle."""

    def numpy(self) -> np.ndarray:
        import torch

        data: Any = self.args[0] if self.args else None
        if isinstance(data, Record):  # bytes as Python 3 writes them in protocol 2
            data = getattr(data, "content", lambda: None)()
        if not isinstance(data, bytes):
            raise WeightsError("a tensor in it has no contents")
        try:
            storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's deprecation of what such files hold
                return torch.tensor([], dtype=storage.dtype).set_(storage.untyped()).numpy()
        except Exception as error:  # torch raises anything at a damaged or forbidden storage
            raise WeightsError(f"a tensor in it cannot be read ({error!r:.80})") from None


_WHIM_NAMES: dict[Name, type] = {
    **NUMPY_NAMES,
    ("torch._utils", "_rebuild_tensor_v2"): _Rebuilt,
    ("torch.storage", "_load_from_bytes"): _Storage,
}


def _plain(value: Any) -> Any:
    if isinstance(value, (PickledArray, _Rebuilt)):
        return value.numpy()
    if isinstance(value, PickledScalar):
        return value.python()
    return value


def _hand(entry: dict[str, Any]) -> WhimHand:
    missing = [name for name in _NEEDED if name not in entry]
    if missing:
        raise KeyError(f"a hand without {', '.join(missing)}.")

    def array(name: str, *shape: int) -> np.ndarray | None:
        if entry.get(name) is None:
            return None
        values = np.asarray(entry[name], np.float32).reshape(shape)
        return None if np.isnan(values).all() else values  # so `write_frame` says "none"

    bbox = array("bbox", 4)
    joints, trans, K = array("joints_3d", 21, 3), array("trans", 3), array("K", 3, 3)
    keypoints = None
    if joints is not None and trans is not None and K is not None:
        projected = (joints + trans) @ K.T
        keypoints = projected[:, :2] / projected[:, 2:]
    elif np.size(entry.get("joints_2d", ())) == 2 * NUM_JOINTS:
        keypoints = array("joints_2d", 21, 2)
    assert bbox is not None
    return WhimHand(
        bbox,
        bool(round(float(np.asarray(entry["side"]).reshape(())))),
        joints,
        array("vertices", -1, 3),
        trans,
        K,
        keypoints,
        float(entry.get("confidence", 1.0)),
        float(entry.get("residual", float("nan"))),
    )
