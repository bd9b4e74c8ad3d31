"""``wilor-yolo doctor``: can this installation do its work, and if not, what mends it?"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .extras import EXTRAS
from .keys import describe_keys, key, read_keys, text
from .shared_keys import detector_key, hand_model_key, reconstructor_key

__all__ = ["HELP", "Finding", "run"]


@dataclass(frozen=True)
class DoctorOptions:
    """The keys of ``wilor-yolo doctor``."""

    detector: str | None = detector_key()
    reconstructor: str | None = reconstructor_key()
    hand_model: str | None = hand_model_key()
    out: str = key("runs", text, "folder that must be writable")


HELP = f"""\
wilor-yolo doctor: check this installation; exit code 1 when `predict` could not work

  wilor-yolo doctor
  wilor-yolo doctor detector=best.pt out=/data/runs

Keys [defaults]:
{describe_keys(DoctorOptions)}
"""

_PACKAGES = ("torch", "ultralytics", "supervision", "numpy", "opencv-python", "timm", "smplx")


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        good: None for a remark that stops nothing.
        subject: what was looked at.
        detail: what was found, and what mends it.
    """

    good: bool | None
    subject: str
    detail: str


def run(args: list[str]) -> int:
    """Print the findings; 1 if one of them is bad."""
    options = read_keys(DoctorOptions, args, "doctor")
    bad = 0
    for finding in findings(options):
        sign = {True: "ok  ", False: "BAD ", None: "note"}[finding.good]
        print(f"{sign} {finding.subject:<14} {finding.detail}", flush=True)
        bad += finding.good is False
    verdict = f"{bad} things to mend" if bad > 1 else "1 thing to mend"
    print(verdict if bad else "All well: wilor-yolo predict")
    return 1 if bad else 0


def findings(options: DoctorOptions) -> Iterator[Finding]:
    """Look at everything `predict` needs, the cheap things first."""
    from .. import __version__

    yield Finding(True, "wilor_yolo", f"{__version__} in {Path(__file__).parents[1]}")
    python = platform.python_version()
    yield Finding(sys.version_info >= (3, 10), "python", f"{python} on {platform.platform()}")
    yield from _packages()
    opencv = _opencv()
    yield opencv
    torch_works = False
    for finding in _torch():
        torch_works = finding.good is True
        yield finding
    yield from _extras()
    yield _settings_folder()
    yield _writable(Path(options.out))
    hand = _file("hand model", options.hand_model, _shipped_hand, _try_hand_model)
    yield hand
    if opencv.good and torch_works:
        yield _file("detector", options.detector, _shipped_detector, _try_detector)
        if hand.good:
            yield _file(
                "reconstructor",
                options.reconstructor,
                _shipped_reconstructor,
                _try_reconstructor,
            )


def _packages() -> Iterator[Finding]:
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    yield Finding(True, "packages", ", ".join(found))
    if "opencv-python" in missing and find_spec("cv2"):
        missing.remove("opencv-python")
        yield Finding(None, "opencv", "another build of OpenCV than opencv-python is installed")
    if missing:
        yield Finding(False, "packages", f"missing: pip install {' '.join(missing)}")
    both = [name for name in ("opencv-python", "opencv-python-headless") if _installed(name)]
    if len(both) == 2:
        yield Finding(
            None,
            "opencv",
            "two builds overwrite each other: pip uninstall opencv-python-headless, "
            "pip install --force-reinstall opencv-python",
        )


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _opencv() -> Finding:
    from .trouble import explain_import

    try:
        import cv2
    except ImportError as error:
        return Finding(False, "opencv", explain_import(error) or str(error))
    return Finding(True, "opencv", f"{cv2.__version__} loads")


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding(False, "torch", f"does not load ({error}); see https://pytorch.org")
        return
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield Finding(
        True,
        "torch",
        f"{torch.__version__}, {torch.get_num_threads()} of {os.cpu_count()} CPU threads, "
        + (f"GPU {', '.join(gpus)}" if gpus else "no CUDA GPU"),
    )


def _extras() -> Iterator[Finding]:
    for extra, (modules, purpose) in EXTRAS.items():
        missing = [name for name in modules if find_spec(name) is None]
        if missing:
            detail = (
                f'{purpose}: not here ({", ".join(missing)}); pip install "wilor-yolo[{extra}]"'
            )
            yield Finding(None, f"extra {extra}", detail)
        else:
            yield Finding(True, f"extra {extra}", purpose)


def _settings_folder() -> Finding:
    offline = os.environ.get("YOLO_OFFLINE", "")
    quiet = offline.strip().lower() in {"1", "true", "yes", "on", "y", "t"}
    return Finding(
        True if quiet else None,
        "network",
        "Ultralytics is offline: no look-ups, no usage reports"
        if quiet
        else f"YOLO_OFFLINE={offline}: Ultralytics may use the network",
    )


def _writable(folder: Path) -> Finding:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    probe = there / f".wilor-yolo-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        return Finding(
            False, "output", f"{there} cannot be written to ({error.strerror}); use out="
        )
    return Finding(True, "output", f"{folder.resolve()} can be written to")


def _file(
    subject: str,
    given: str | None,
    shipped: Callable[[], Path],
    attempt: Callable[[Path], str],
) -> Finding:
    from ..errors import HandError
    from ..weights_dir import or_shipped
    from .weights import sha256

    try:
        path = shipped() if given is None else or_shipped(given)
        described = attempt(path)
    except HandError as error:
        return Finding(False, subject, str(error))
    if path.is_dir():  # some exported detectors are
        return Finding(True, subject, f"{path} ({described})")
    size = path.stat().st_size / 1e6
    return Finding(
        True, subject, f"{path} ({described}, {size:.1f} MB, sha256 {sha256(path)[:12]})"
    )


def _shipped_hand() -> Path:
    from ..weights_dir import FREE_HAND, shipped

    return shipped(FREE_HAND)


def _shipped_detector() -> Path:
    from ..weights_dir import DETECTOR, shipped

    return shipped(DETECTOR)


def _shipped_reconstructor() -> Path:
    from ..weights_dir import RECONSTRUCTOR, shipped

    return shipped(RECONSTRUCTOR)


def _try_hand_model(path: Path) -> str:
    from ..mano.files import load_hand_model

    return f"{len(load_hand_model(path).v_template)} vertices"


def _try_detector(path: Path) -> str:
    import numpy as np

    from ..detect.model import HandDetector

    detector = HandDetector(path)
    detector.predict(np.zeros((64, 64, 3), np.uint8), imgsz=64, verbose=False)
    model: Any = detector.model
    if isinstance(model, str):  # what Ultralytics keeps of an exported file
        return f"exported, {path.suffix.lstrip('.') or path.name}"
    return f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters"


def _try_reconstructor(path: Path) -> str:
    import numpy as np

    from ..reconstruct.predictor import HandReconstructor

    reconstructor = HandReconstructor(path)
    picture = np.zeros((64, 64, 3), np.uint8)
    reconstructor.reconstruct_boxes(picture, np.array([[8, 8, 56, 56]]), np.array([True]))
    if reconstructor.backend != "torch":
        return f"exported, runs with {reconstructor.backend}"
    network: Any = reconstructor.network
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:.1f} M parameters"
