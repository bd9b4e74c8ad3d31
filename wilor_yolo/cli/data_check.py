"""Read a whole data set and say what is wrong with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import HandError

__all__ = ["CheckReport", "check_data_yaml", "check_shards"]

_FIELDS = 5 + 21 * 3  # class, box, keypoints


@dataclass
class CheckReport:
    """What was counted, and what is wrong, a line each."""

    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def check_shards(source: str) -> CheckReport:
    """Decode every sample of the shards, and check that true joints are those of a hand.

    Raises:
        HandError: no shards there.
    """
    from ..data.checks import check_joints, check_projection
    from ..shards import find_shards, hash_shards, read_shard

    paths = find_shards(source)
    if not paths:
        raise HandError(f"{source}: no shards; give a folder that holds .tar files.")
    report = CheckReport()
    hands: Counter[tuple[str, str]] = Counter()
    for path in paths:
        try:
            for encoded in read_shard(path, strict=True):
                try:
                    sample = encoded.decode()
                    # Weak guesses of 3D joints are allowed to be no hand.
                    if sample.keypoints_3d is not None and sample.keypoints_3d_confidence == 1:
                        check_joints(sample.keypoints_3d)
                        if sample.K is not None:
                            check_projection(sample.keypoints_3d, sample.K, sample.keypoints_2d)
                except HandError as error:
                    report.faults.append(f"{path}: {encoded.key}: {error}")
                    continue
                hands[sample.source, "right" if sample.is_right else "left"] += 1
        except HandError as error:
            report.faults.append(str(error))
    for source_name in sorted({name for name, _ in hands}):
        left, right = hands[source_name, "left"], hands[source_name, "right"]
        report.lines.append(f"{source_name:20s} {left:7d} left {right:7d} right")
    report.lines.append(f"{len(paths)} shards, hash {hash_shards(paths)}")
    return report


def check_data_yaml(path: Path) -> CheckReport:
    """Check a YOLO-pose data set: its YAML, and every line of its label files.

    Raises:
        HandError: the YAML cannot be read or does not describe hands.
    """
    import yaml

    from ..detect.dataset import check_hand_data

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HandError(f"{path} cannot be read: {error.strerror or error}.") from None
    except yaml.YAMLError as error:
        raise HandError(f"{path} is no yaml: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise HandError(f"{path} is no data YAML.")
    check_hand_data({**data, "yaml_file": str(path)})
    root = Path(data.get("path") or path.parent)
    root = root if root.is_absolute() else path.parent / root
    report = CheckReport()
    for part in ("train", "val"):
        places = data.get(part) or []
        for place in [places] if isinstance(places, str) else places:
            _check_folder(part, root / place, report)
    return report


def _check_folder(part: str, folder: Path, report: CheckReport) -> None:
    from ..sources import PICTURE_SUFFIXES

    if not folder.is_dir():
        report.faults.append(f"{part}: {folder} is no folder")
        return
    pictures = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in PICTURE_SUFFIXES]
    if not pictures:
        report.faults.append(f"{part}: {folder} holds no pictures")
    classes: Counter[str] = Counter()
    posed = without = 0
    for picture in pictures:
        label = _label_path(picture)
        if not label.is_file():
            without += 1
            continue
        for number, line in enumerate(label.read_text(encoding="utf-8").splitlines(), start=1):
            fault = _fault(line.split())
            if fault:
                report.faults.append(f"{label}:{number}: {fault}")
            elif line.strip():
                classes[line.split()[0]] += 1
                posed += any(float(value) for value in line.split()[7::3])
    report.lines.append(
        f"{part:6s} {len(pictures):6d} pictures {classes['0']:7d} left {classes['1']:7d} right "
        f"{classes['2']:7d} of unknown side, {posed} with keypoints, {without} without label file"
    )


def _label_path(picture: Path) -> Path:
    # Ultralytics' rule: the last folder named "images" becomes "labels".
    parts = list(picture.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def _fault(values: list[str]) -> str | None:
    if not values:
        return None
    if len(values) != _FIELDS:
        return f"{len(values)} values, a hand has {_FIELDS} (class, box, 21 keypoints)"
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return "not all values are numbers"
    if numbers[0] not in (0, 1, 2):
        return f"class {values[0]}; 0 is left, 1 right, 2 unknown"
    if not all(0 <= n <= 1 for n in numbers[1:5]) or min(numbers[3:5]) <= 0:
        return "the box does not lie in the picture"
    if not set(numbers[7::3]) <= {0, 1, 2}:
        return "visibility of a keypoint is not 0, 1 or 2"
    return None
