"""The keys of ``wilor-yolo predict``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..detect.stock_files import require_tracker
from ..detect.working_point import CONFIDENCE, IOU
from ..errors import HandError
from ..weights_dir import or_shipped
from .keys import choice, choices, key, maybe, number, numbers, text, whole, yes_no
from .shared_keys import detector_key, device_key, hand_model_key, imgsz_key, reconstructor_key

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

__all__ = ["PredictOptions"]


@dataclass(frozen=True)
class PredictOptions:
    """The keys of ``wilor-yolo predict``."""

    source: str | None = key(
        None,
        text,
        "picture, folder of pictures, glob in quotes, list .txt, video, or number of a camera",
        "the bundled picture",
    )
    out: str = key(
        "runs/predict",
        text,
        "folder to write to; numbered if there are files in it, but not with engine=local or ray",
    )
    exist_ok: bool = key(False, yes_no, "write into out= although there are files in it")
    detector: str | None = detector_key()
    reconstructor: str | None = reconstructor_key()
    reconstructor_backend: str | None = key(
        None,
        choice("torch", "onnx", "openvino"),
        "what runs the reconstructor; openvino is the fastest on CPUs (extra export)",
        "what the file is made for",
    )
    hand_model: str | None = hand_model_key()
    conf: float = key(CONFIDENCE, number(0, 1), "lowest score of a hand")
    imgsz: int | None = imgsz_key()
    iou: float = key(IOU, number(0, 1), "overlap above which two boxes are one hand")
    device: str = device_key()
    camera: str = key(
        "default",
        choice("default", "released"),
        "default: focal length from EXIF, else the longer side in px; released: the camera of the "
        "released WiLoR, which places hands ten metres away",
    )
    focal: float | None = key(None, number(1), "focal length of your camera, px")
    K: tuple[float, ...] | None = key(
        None, numbers(4, "fx,fy,cx,cy"), "intrinsics of your camera: fx,fy,cx,cy in px"
    )
    hand_length: float | None = key(
        None,
        maybe(number(0.04, 0.35)),
        "metres from wrist to tip of the middle finger of the hands you show; fixes their distance",
    )
    draw: tuple[str, ...] = key(
        ("mesh", "skeleton", "boxes"), choices("mesh", "skeleton", "boxes"), "what to draw"
    )
    save: bool = key(True, yes_no, "write the picture or video with the hands drawn in")
    save_json: bool = key(True, yes_no, "write hands.json; of videos hands.jsonl, a line a frame")
    save_mesh: bool | None = key(
        None, yes_no, "write a .glb scene a picture or frame", "True; False for videos"
    )
    show: bool = key(
        False, yes_no, "open a window; q ends the run, any other key shows the next picture"
    )
    stride: int = key(1, whole(1), "videos: take every n-th frame")
    max_frames: int | None = key(None, maybe(whole(1)), "videos: stop after that many frames")
    track: str = key(
        "auto",
        choice("auto", "True", "False", "true", "false"),
        "videos: follow hands, so that each keeps its number and side; auto: if lap is installed",
    )
    tracker: str = key("bytetrack.yaml", text, "videos: tracker file of Ultralytics, or your own")
    engine: str = key(
        "single",
        choice("single", "local", "ray"),
        "many pictures and videos: local is several processes, ray a Ray cluster (extra ray); both "
        "take folders with subfolders and go on in out= after a stop",
    )
    workers: int = key(0, whole(0), "processes with engine=local or ray", "one a core")

    def __post_init__(self) -> None:
        given = [
            name
            for name in ("K", "focal", "camera")
            if getattr(self, name) not in (None, "default")
        ]
        if len(given) > 1:
            raise HandError(f"{' and '.join(given)} contradict each other; keep one.")
        for name in ("detector", "reconstructor", "hand_model"):
            path = getattr(self, name)
            if path is not None and not or_shipped(path).exists():
                raise HandError(f"{name}={path} does not exist; check the path.")
        require_tracker(self.tracker)

    def intrinsics(self, width: int, height: int, path: Path | None = None) -> np.ndarray:
        """K (3, 3) for a picture of that size, px; `path` is asked for its EXIF data."""
        import numpy as np

        from ..geometry import default_intrinsics, released_intrinsics
        from ..images import exif_focal

        if self.K is not None:
            fx, fy, cx, cy = self.K
            return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float32)
        if self.camera == "released":
            return released_intrinsics(width, height)
        focal = self.focal
        if focal is None and path is not None:
            focal = exif_focal(path, width, height)
        return default_intrinsics(width, height, focal)

    @property
    def writes(self) -> bool:
        """Whether anything is to be written (`save_mesh` counts for pictures, its default)."""
        return self.save or self.save_json or self.save_mesh is not False
