"""Read a whole data set and say what is wrong with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..errors import HandError

__all__ = ["CheckReport", "check_shards"]


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
