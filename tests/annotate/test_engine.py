from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from ultralytics.data.utils import verify_image_label

from wilor_yolo.annotate import outputs
from wilor_yolo.annotate.candidates import HandCandidates
from wilor_yolo.annotate.engine import AnnotationJob, JobSettings
from wilor_yolo.annotate.ensemble import Ensemble
from wilor_yolo.annotate.fitted import FittedHands
from wilor_yolo.annotate.whim import extract_frames, read_frame, read_video_ids
from wilor_yolo.errors import HandError
from wilor_yolo.shards import find_shards, read_shard
from wilor_yolo.skeleton import RIGHT

SETTINGS = JobSettings(rate=5, chunk=1, test_share=0, near_copy_bits=-1, fit=False)


class StandInFitter:
    """Accepts right hands and rejects left ones."""

    def __call__(self, keypoints, is_right, intrinsics, hints=None) -> FittedHands:
        count = len(keypoints)
        joints = np.zeros((count, 21, 3), np.float32)
        return FittedHands(
            np.full((count, 3), 0.1, np.float32),
            np.zeros((count, 45)),
            np.zeros((count, 10)),
            np.tile([0, 0, 0.5], (count, 1)),
            np.zeros((count, 778, 3)),
            joints,
            np.tile([0, 0, 0.5], (count, 1)),
            keypoints[..., :2],
            np.full(count, 0.01),
            np.zeros(count),
            np.zeros(count),
            tuple("converged" if right else "residual" for right in is_right),
        )


def job(out: Path, finder, settings: JobSettings = SETTINGS, fitter=None) -> AnnotationJob:
    return AnnotationJob(out, Ensemble([finder]), fitter, settings, report=lambda line: None)


def rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def contents(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def test_a_video_becomes_a_data_set(tmp_path: Path, clip: Path, square_finder) -> None:
    out = tmp_path / "out"
    settings = replace(SETTINGS, fit=True)
    summary = job(out, square_finder(), settings, StandInFitter()).run(clip.parent)
    assert summary.counts["frames written"] == 15 and summary.counts["hands"] == 20
    assert summary.counts["chunks"] == 3 and summary.counts["videos"] == 1
    assert summary.counts["fits converged"] == 15 and summary.counts["fits residual"] == 5

    manifest = rows(out)
    assert [row["frame"] for row in manifest] == list(range(0, 30, 2))
    last = manifest[-1]
    assert last["time"] == pytest.approx(2.8) and last["video"] == "clip"
    assert [hand["side"] for hand in last["hands"]].count("left") == 1
    right = next(hand for hand in last["hands"] if hand["side"] == "right")
    assert right["votes"] == {"squares": 0.8} and right["agreement"] is None
    assert right["fit"]["status"] == "converged" and right["fit"]["residual"] == 0.01

    image = out / last["image"]
    label = Path(str(image).replace("/images/", "/labels/").replace(".jpg", ".txt"))
    stock = verify_image_label((str(image), str(label), "", True, 3, 21, 3, False))
    boxes, keypoints, corrupt = stock[1], stock[4], stock[8]
    assert corrupt == 0 and len(boxes) == 2  # stock Ultralytics reads it
    left, right_row = boxes[boxes[:, 0] == 0][0], boxes[boxes[:, 0] == RIGHT][0]
    assert left[1:] == pytest.approx([118 / 160, 88 / 120, 36 / 160, 36 / 120], abs=0.01)
    assert right_row[1] == pytest.approx((10 + 2 * 28 + 20) / 160, abs=0.01)
    # The rejected fit's landmarks are no labels; its box is.
    points = keypoints[list(boxes[:, 0]).index(0)]
    assert not points.any() and keypoints[list(boxes[:, 0]).index(RIGHT)].any()

    (whim_ids,) = read_video_ids(out / "WHIM" / "train_video_ids.json").items()
    assert whim_ids == ("clip", {"res": [120, 160], "length": 30, "fps": 10.0})
    anno = out / "WHIM" / "train" / "anno" / "clip"
    numbers = [number for number, _, _ in extract_frames(clip, anno, 10.0, (160, 120))]
    assert numbers == list(range(0, 30, 2))  # frame n of the file
    whim = read_frame(anno / "000028.npy")
    assert [hand.is_right for hand in whim] == [True]
    assert whim[0].K is not None and whim[0].K[0, 0] == 160

    shards = find_shards(out / "shards" / "train")
    samples = [encoded.decode() for shard in shards for encoded in read_shard(shard, strict=True)]
    assert len(shards) == 3 and len(samples) == 15
    sample = samples[0]
    assert sample.is_right and sample.key == "clip-000000-0" and sample.cam_t is not None
    x0, y0, x1, y1 = sample.bbox_xyxy.round().astype(int)
    inside = sample.image[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3]
    assert inside[..., 2].mean() > 200 and inside[..., 0].mean() < 60  # the red square
    assert "val: images/train" in (out / "data.yaml").read_text()
    assert "flip_idx" not in (out / "data.yaml").read_text()


def test_pictures_with_an_unsure_hand_are_no_labels_and_counted(
    tmp_path: Path, clip: Path, square_finder
) -> None:
    class Finder(square_finder):
        def __call__(self, image: np.ndarray) -> HandCandidates:
            found = super().__call__(image)  # left hands come late in the clip
            scores = np.where(found.sides == RIGHT, found.confidence, 0.3)
            return replace(found, confidence=scores, side_confidence=scores)

    out = tmp_path / "out"
    summary = job(out, Finder()).run(clip.parent)
    assert summary.counts["frames written"] == 15 and summary.counts["hands"] == 15
    assert summary.counts["of those not in the labels, a hand unsure"] == 5
    assert len(list((out / "labels").rglob("*.txt"))) == 10
    assert [row["image"] is None for row in rows(out)].count(True) == 5


def test_run_again_changes_nothing(tmp_path: Path, clip: Path, square_finder) -> None:
    out = tmp_path / "out"
    job(out, square_finder()).run(clip.parent)
    before = contents(out)
    summary = job(out, square_finder()).run(clip.parent)
    assert summary.counts == {"videos done before": 1} and contents(out) == before


def test_the_detectors_3d_goes_to_the_fit(tmp_path: Path, clip: Path, square_finder) -> None:
    squares, told = square_finder(), []

    class Guessing:
        name = "guessing"

        def __call__(self, image: np.ndarray) -> HandCandidates:
            found = squares(image)
            sides = np.asarray(found.sides)
            guess = np.full((len(found), 21, 3), 7.0)
            guess[sides != RIGHT] = np.nan
            return replace(found, joints_3d=guess)

    class Recording(StandInFitter):
        def __call__(self, keypoints, is_right, intrinsics, hints=None) -> FittedHands:
            told.extend(zip(is_right, hints, strict=True))
            return super().__call__(keypoints, is_right, intrinsics)

    job(tmp_path / "out", Guessing(), replace(SETTINGS, fit=True), Recording()).run(clip.parent)
    assert {bool(right) for right, _ in told} == {True, False} and len(told) == 20
    assert all((hint == 7).all() if right else np.isnan(hint).all() for right, hint in told)


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from conftest import SquareFinder
from wilor_yolo.annotate import outputs
from wilor_yolo.annotate.engine import AnnotationJob, JobSettings
from wilor_yolo.annotate.ensemble import Ensemble

real, count = os.replace, [0]
def replace(source, target):
    count[0] += 1
    if count[0] == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
os.replace = replace
settings = JobSettings(rate=5, chunk=1, test_share=0, near_copy_bits=-1, fit=False)
AnnotationJob({out!r}, Ensemble([SquareFinder()]), None, settings).run({source!r})
"""


def test_kill_9_loses_one_chunk_at_most(tmp_path: Path, clip: Path, square_finder) -> None:
    whole, out = tmp_path / "whole", tmp_path / "killed"
    job(whole, square_finder()).run(clip.parent)
    # settings.json, names.json and a chunk (5 pictures, 5 labels, its manifest) are 13 renames: the
    # 18th is in the middle of the second chunk.
    code = _KILLED.format(
        folder=str(Path(__file__).parent), at=18, out=str(out), source=str(clip.parent)
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-500:]
    assert [path.name for path in (out / "parts").iterdir()] == ["clip-00000.jsonl"]
    assert not (out / "manifest.jsonl").exists()
    for path in (out / "images").rglob("*.jpg"):
        assert cv2.imread(str(path)) is not None  # whole, or under another name
    summary = job(out, square_finder()).run(clip.parent)
    assert summary.counts["chunks"] == 2 and summary.counts["frames seen"] == 10
    killed = {k: v for k, v in contents(out).items() if not k.endswith(".part")}
    whole_files = contents(whole)
    assert set(killed) == set(whole_files)
    for name in set(killed) - {"data.yaml"}:  # which names the folder
        assert killed[name] == whole_files[name], name


def test_other_settings_in_a_folder_are_refused(tmp_path: Path, square_finder) -> None:
    job(tmp_path / "out", square_finder())
    with pytest.raises(HandError, match=r"rate=5"):
        job(tmp_path / "out", square_finder(), JobSettings(fit=False))
    with pytest.raises(HandError, match="detectors"):
        job(tmp_path / "out", square_finder("others"))
    AnnotationJob(tmp_path / "m", Ensemble([square_finder()]), None, SETTINGS, models={"conf": 0.2})
    with pytest.raises(HandError, match=r"conf=0\.2"):
        AnnotationJob(tmp_path / "m", Ensemble([square_finder()]), None, SETTINGS)
    with pytest.raises(HandError, match="fitter"):
        job(tmp_path / "new", square_finder(), JobSettings())


def test_bad_input_is_logged_and_the_rest_goes_on(
    tmp_path: Path, clip: Path, square_finder
) -> None:
    (clip.parent / "a_empty.mp4").touch()
    (clip.parent / "b_broken.mp4").write_bytes(b"\0" * 300)
    (clip.parent / "c.jpg").write_bytes(b"no picture")
    finder = square_finder()

    class Moody:
        name = "squares"
        calls = 0

        def __call__(self, image: np.ndarray) -> HandCandidates:
            self.calls += 1
            if self.calls == 3:
                raise ValueError("a bad day")
            return finder(image)

    out = tmp_path / "out"
    summary = job(out, Moody()).run(clip.parent)
    assert summary.counts["videos unreadable"] == 2
    assert summary.counts["pictures unreadable"] == 1
    assert summary.counts["detector failures"] == 1
    assert summary.counts["frames written"] == 14
    log = [json.loads(line) for line in (out / "trouble.jsonl").read_text().splitlines()]
    assert {Path(row["file"]).name for row in log} == {
        "a_empty.mp4",
        "b_broken.mp4",
        "c.jpg",
        "clip.avi",
    }
    failed = next(row for row in log if row["kind"] == "detector failures")
    assert failed["time"] == pytest.approx(0.4) and "a bad day" in failed["what"]


def test_a_picture_nobody_looked_at_is_no_background_and_tried_again(
    tmp_path: Path, painted, square_finder
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(2):
        cv2.imwrite(str(folder / f"{i}.png"), painted([("left", 5 + 30 * i, 5, 40)], i))

    class Moody:
        name = "squares"
        bad_day = True

        def __call__(self, image: np.ndarray) -> HandCandidates:
            if self.bad_day:
                raise RuntimeError("out of memory")
            return finder(image)

    out, finder, moody = tmp_path / "out", square_finder(), Moody()
    settings = replace(SETTINGS, keep_empty=True)
    counts = job(out, moody, settings).run(folder).counts
    assert counts["frames nobody looked at"] == counts["detector failures"] == 2
    assert not counts["frames without hands"] and not list(out.rglob("*.txt"))
    moody.bad_day = False
    counts = job(out, moody, settings).run(folder).counts
    assert counts["frames written"] == 2 and counts["hands"] == 2


def test_a_torn_video_is_used_as_far_as_it_goes_and_named(
    tmp_path: Path, clip: Path, square_finder
) -> None:
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    out = tmp_path / "out"
    summary = job(out, square_finder()).run(clip)
    assert summary.counts["videos cut short"] == 1 and 4 <= summary.counts["frames written"] <= 10
    (row,) = (json.loads(line) for line in (out / "trouble.jsonl").read_text().splitlines())
    assert row["file"] == str(clip) and 1 < row["time"] < 2 and "3.0 s" in row["what"]
    assert job(out, square_finder()).run(clip).counts == {"videos done before": 1}


def test_a_full_disk_is_logged_and_the_chunk_done_later(
    tmp_path: Path, clip: Path, square_finder, monkeypatch
) -> None:
    out = tmp_path / "out"
    real: Callable = outputs.write_bytes

    def full(path: Path, data: bytes) -> None:
        if path.name == "000012.jpg":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, data)

    monkeypatch.setattr(outputs, "write_bytes", full)
    summary = job(out, square_finder()).run(clip.parent)
    assert summary.counts["chunks not written"] == 1 and summary.counts["chunks"] == 2
    assert summary.counts["frames written"] == 10
    assert len(rows(out)) == 10 and "No space left" in (out / "trouble.jsonl").read_text()
    monkeypatch.setattr(outputs, "write_bytes", real)
    again = job(out, square_finder()).run(clip.parent)
    assert again.counts["chunks"] == 1 and len(rows(out)) == 15


def test_doubtful_hands_keep_a_picture_out_of_the_labels(
    tmp_path: Path, square_finder, painted
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "both.png"), painted([("left", 5, 5, 40), ("right", 90, 60, 12)]))
    cv2.imwrite(str(folder / "fine.png"), painted([("left", 5, 5, 40)], 1))
    cv2.imwrite(str(folder / "none.png"), painted([], 2))
    out = tmp_path / "out"
    summary = job(out, square_finder()).run(folder)  # 12 px are too small to be believed
    assert {row["video"]: row["image"] is not None for row in rows(out)} == {
        "both": False,
        "fine": True,
    }
    assert [path.name for path in (out / "images").rglob("*.jpg")] == ["000000.jpg"]
    assert summary.counts["frames without hands"] == 1
    empty = tmp_path / "empty"
    job(empty, square_finder(), replace(SETTINGS, keep_empty=True)).run(folder)
    background = next(row for row in rows(empty) if row["video"] == "none")
    assert background["hands"] == [] and (empty / background["image"]).is_file()
    assert (empty / "labels/train/none/000000.txt").read_text() == ""


def test_fifty_hands_and_near_copies(tmp_path: Path, square_finder, painted) -> None:
    hands = [("right", 4 + 31 * (i % 5), 2 + 24 * (i // 5), 18) for i in range(25)]
    big = cv2.resize(painted(hands), (320, 240), interpolation=cv2.INTER_NEAREST)
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.concatenate((big, big), axis=1))
    cv2.imwrite(str(folder / "b.jpg"), np.concatenate((big, big), axis=1))
    out = tmp_path / "out"
    summary = job(out, square_finder(), replace(SETTINGS, near_copy_bits=3)).run(folder)
    assert summary.counts["near-copies"] == 1 and len(rows(out)[0]["hands"]) == 50


def test_the_split_is_by_video_and_stable(tmp_path: Path, square_finder) -> None:
    settings = JobSettings(fit=False, test_share=0.2)
    parts = [
        job(tmp_path / "out", square_finder(), settings)._part(f"video{i}") for i in range(500)
    ]
    assert 60 < parts.count("test") < 140
    again = [
        job(tmp_path / "out", square_finder(), settings)._part(f"video{i}") for i in range(500)
    ]
    assert parts == again


@pytest.mark.parametrize(
    ("share", "unsure", "train", "val"),
    [
        (0.0, False, "images/train", "images/train"),
        (1.0, False, "images/test", "images/test"),
        (0.5, False, "images/train", "images/test"),
        (0.5, True, "images/train", "images/train"),
    ],
)
def test_the_data_yaml_names_folders_that_are_there(
    tmp_path: Path, square_finder, painted, share: float, unsure: bool, train: str, val: str
) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    settings = replace(SETTINGS, test_share=share)
    for i in range(6):
        hands = [("left", 5, 5, 40)]
        if unsure and job(tmp_path / "other", square_finder(), settings)._part(str(i)) == "test":
            hands.append(("right", 90, 60, 12))  # too small to be believed
        cv2.imwrite(str(folder / f"{i}.png"), painted(hands, i))
    job(out, square_finder(), settings).run(folder)
    data = yaml.safe_load((out / "data.yaml").read_text())
    assert (data["train"], data["val"]) == (train, val)
    assert ("test" in data) == (out / "images" / "test").is_dir()
    assert all((out / data[part]).is_dir() for part in ("train", "val"))
    assert len(data["kpt_oks_sigmas"]) == 21 and data["kpt_shape"] == [21, 3]


def test_an_hour_without_hands(tmp_path: Path, square_finder, painted, write_clip) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    write_clip(folder / "dull.avi", [painted([], i) for i in range(30)])
    out = tmp_path / "out"
    summary = job(out, square_finder()).run(folder)
    assert summary.counts["frames without hands"] == 15 and rows(out) == []
    assert job(out, square_finder()).run(folder).counts == {"videos done before": 1}
