"""``wilor-yolo data convert|check|sheet``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import HandError
from ..evenly import evenly
from ..weights_dir import or_shipped_dataset
from ..yaml_files import read_yaml
from .data_sets import HELP as SETS_HELP
from .data_sets import convert_set
from .keys import choice, describe_keys, key, maybe, number, read_keys, text, whole
from .verbs import choose

__all__ = ["HELP", "run"]

MOST_FAULTS = 50  # that are named
_LARGEST_TILE = 256  # px, side of a sample on a sheet


@dataclass(frozen=True)
class ConvertOptions:
    """The keys of ``data convert``."""

    source: str = key(..., text, "folder of pictures with a labels.jsonl")
    out: str = key(..., text, "folder to write")
    to: str = key(
        "detector",
        choice("detector", "reconstructor"),
        "detector: a YOLO-pose data set; reconstructor: shards of single hands",
    )
    val_share: float = key(1 / 12, number(0, 0.5), "share kept for validation", "1/12")


@dataclass(frozen=True)
class CheckOptions:
    """The keys of ``data check``."""

    source: str = key(..., text, "a data YAML, or a shard, a folder of shards or a glob in quotes")
    sheet: str | None = key(
        None, maybe(text), "picture to write: labels drawn, faulty ones first (data YAML)", "none"
    )
    count: int = key(64, whole(1), "pictures on it")
    sides: str | None = key(
        None,
        maybe(text),
        "mediapipe or a detector file: list labels whose side it contradicts (data YAML)",
        "none",
    )
    mediapipe: str | None = key(
        None, maybe(text), "mediapipe's wheel, or a folder with its files", "the cache"
    )


@dataclass(frozen=True)
class SheetOptions:
    """The keys of ``data sheet``."""

    source: str = key(..., text, "a data YAML, or a shard, a folder of shards or a glob in quotes")
    out: str = key("sheet.jpg", text, "the picture to write")
    count: int = key(64, whole(1), "samples on it, spread evenly")
    columns: int = key(8, whole(1), "samples in a row")
    network: str | None = key(
        None,
        maybe(text),
        "draw the crops as this network is shown them in training, with the labels it is given",
        "the stored pictures",
    )
    training: str = key("default", text, "whose augmentation; none for plain crops (with network=)")
    seed: int = key(0, whole(0), "of the augmentation (with network=)")
    hand_model: str | None = key(
        None, maybe(text), "MANO .pkl or .npz that the parameters are of", "the free hand"
    )


HELP = f"""\
wilor-yolo data: make, check and look at training data

  wilor-yolo data convert source=pictures out=hands
  wilor-yolo data convert source=pictures out=shards/real to=reconstructor
  wilor-yolo data convert freihand root=FreiHAND_pub_v2 out=hands/freihand
  wilor-yolo data convert freihand root=FreiHAND_pub_v2 out=shards/freihand to=reconstructor
  wilor-yolo data check   source=hands/data.yaml sheet=sheet.jpg
  wilor-yolo data check   source=hands/data.yaml sides=mediapipe mediapipe=mediapipe.whl
  wilor-yolo data sheet   source=shards/real/train out=sheet.jpg
  wilor-yolo data sheet   source=shards/real/train network=hybrid-s training=paper count=24

convert [defaults]:
{describe_keys(ConvertOptions)}
{SETS_HELP}
check: reads everything and says what is wrong, how often and where; exit code 1 if anything is
{describe_keys(CheckOptions)}
sheet: samples side by side, every other one with its labels drawn; with network=, every crop as
it is and with its labels: bones are 2D keypoints, cyan crosses 3D joints, magenta the posed hand
{describe_keys(SheetOptions)}
"""


def run(args: list[str]) -> int:
    """Run the verb."""
    part, rest = choose("data", args, ("convert", "check", "sheet"))
    return {"convert": _convert, "check": _check, "sheet": _sheet}[part](rest)


def _convert(args: Sequence[str]) -> int:
    if args and "=" not in args[0]:
        return convert_set([f"format={args[0]}", *args[1:]])
    if any(argument.lstrip("-").startswith("format=") for argument in args):
        return convert_set(args)
    options = read_keys(ConvertOptions, args, "data convert")
    if options.to == "detector":
        from ..data.pictures import convert_pictures

        pictures = convert_pictures(options.source, options.out, options.val_share)
        print(pictures)
        print(f"Train with: wilor-yolo detect train data={pictures.data_yaml}")
        return 0
    from ..data.hand_crops import convert_hand_crops

    out = Path(options.out)
    val = out / "val" if options.val_share else None
    print(convert_hand_crops(options.source, out / "train", val, options.val_share))
    return 0


def _check(args: Sequence[str]) -> int:
    options = read_keys(CheckOptions, args, "data check")
    if _is_yaml(options.source):
        return _check_yaml(options)
    for name in ("sheet", "sides"):
        if getattr(options, name) is not None:
            raise HandError(f"{name}= is for a data YAML; of shards see: wilor-yolo data sheet")
    from .data_check import check_shards

    report = check_shards(options.source)
    _say(report.lines, report.faults)
    return 1 if report.faults else 0


def _check_yaml(options: CheckOptions) -> int:
    from ..data.yolo_check import check_yolo_set

    report = check_yolo_set(or_shipped_dataset(options.source))
    _say(report.lines, report.faults, report.kinds)
    bad = set(report.bad)
    sound = [file for file in report.pictures if file not in bad]
    suspects = _compare_sides(options, sound, report.sides) if options.sides is not None else []
    if options.sheet is not None and report.pictures:
        faulty = [*report.bad, *suspects][: options.count]
        sound = [file for file in sound if file not in set(suspects)]
        chosen = [*faulty, *evenly(sound, options.count - len(faulty))]
        _draw_labels(chosen, report.sides, options.sheet, 8)
    return 1 if report.faults else 0


def _compare_sides(
    options: CheckOptions, pictures: Sequence[Path], classes: Mapping[int, int]
) -> list[Path]:
    from .evaluate_sets import progress
    from .peers import open_peer
    from .side_check import compare_sides

    peer = open_peer(options.sides, mediapipe=options.mediapipe)
    with progress("sides") as report:
        sides = compare_sides(pictures, classes, peer, report)
    for suspect in sides.suspects[:MOST_FAULTS]:
        print(f"LOOK {suspect}")
    print(f"{len(sides.suspects)} of {sides.compared} sides contradicted by {peer.name}")
    return sides.pictures


def _say(
    lines: Sequence[str], faults: Sequence[str], kinds: Mapping[str, int] | None = None
) -> None:
    print("\n".join(lines))
    for fault in faults[:MOST_FAULTS]:
        print(f"BAD {fault}")
    if len(faults) > MOST_FAULTS:
        print("...")
    named = ", ".join(f"{count} {kind}" for kind, count in (kinds or {}).items())
    print(f"{len(faults)} faults{': ' if named else ''}{named}" if faults else "no faults")


def _is_yaml(source: str) -> bool:
    return Path(source).suffix in {".yaml", ".yml"}


def _draw_labels(files: Sequence[Path], sides: Mapping[int, int], out: str, columns: int) -> None:
    from ..data.label_sheet import label_sheet
    from .pictures import write_picture

    if not files:
        raise HandError("there are no pictures to draw")
    write_picture(Path(out), label_sheet(files, min(columns, len(files)), _LARGEST_TILE, sides))
    print(f"{len(files)} pictures: {out}")


def _sheet(args: Sequence[str]) -> int:
    options = read_keys(SheetOptions, args, "data sheet")
    if options.network is not None:
        if _is_yaml(options.source):
            raise HandError("network= is for shards; of a data YAML see: wilor-yolo detect sheet")
        return _seen(options, options.network)
    if _is_yaml(options.source):
        from ..data.yolo_set import picture_files, sides_of_classes

        data_yaml = or_shipped_dataset(options.source)
        parts = picture_files(data_yaml).values()
        files = list(dict.fromkeys(file for part in parts for file in part))  # a val may be train
        sides = sides_of_classes(read_yaml(data_yaml))
        _draw_labels(evenly(files, options.count), sides, options.out, options.columns)
        return 0
    from ..data.square import squared
    from ..shards import find_shards, iterate_samples, read_shard
    from ..synth.sheet import draw_sheet
    from .pictures import write_picture

    total = sum(1 for path in find_shards(options.source) for _ in read_shard(path))
    if not total:
        raise HandError(f"{options.source}: no samples; give a folder that holds .tar shards.")
    wanted = set(evenly(range(total), options.count))
    chosen = [s for i, s in enumerate(iterate_samples(options.source)) if i in wanted]
    # Real samples differ in size, and a sheet has one.
    side = min(max(max(sample.image.shape[:2]) for sample in chosen), _LARGEST_TILE)
    tiles = [squared(sample, side) for sample in chosen]
    write_picture(Path(options.out), draw_sheet(tiles, min(options.columns, len(tiles))))
    print(f"{len(tiles)} of {total} samples: {options.out}")
    return 0


def _seen(options: SheetOptions, name: str) -> int:
    from ..mano.files import load_hand_model
    from ..mano.layer import HandLayer
    from ..reconstruct.config import NetworkConfig
    from ..reconstruct.mixing import DataGroup, SampleStore
    from ..reconstruct.seen import seen_sheet
    from ..reconstruct.train_config import TrainConfig
    from .pictures import write_picture

    network = NetworkConfig.from_yaml(name)
    augment = None
    if options.training != "none":
        augment = TrainConfig.from_yaml(options.training, frozen=[]).augment
    hand = HandLayer(load_hand_model(options.hand_model))
    store = SampleStore([DataGroup(options.source)], limit=options.count)
    columns = min(options.columns, len(store))
    sheet = seen_sheet(store.samples(), network, augment, hand, options.seed, columns)
    write_picture(Path(options.out), sheet)
    print(f"{len(store)} samples as {name} sees them: {options.out}")
    return 0
