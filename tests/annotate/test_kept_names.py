"""A source that grows, shrinks and moves between the runs of a job."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from wilor_yolo.annotate.engine import AnnotationJob, JobSettings
from wilor_yolo.annotate.ensemble import Ensemble
from wilor_yolo.annotate.gather import JobSummary
from wilor_yolo.annotate.whim import read_video_ids
from wilor_yolo.errors import HandError

SETTINGS = JobSettings(rate=5, chunk=1, pictures=3, test_share=0, near_copy_bits=-1, fit=False)


@pytest.fixture()
def run(square_finder):
    def annotate(source: Path, out: Path) -> JobSummary:
        ensemble = Ensemble([square_finder()])
        return AnnotationJob(out, ensemble, None, SETTINGS, report=lambda line: None).run(source)

    return annotate


@pytest.fixture()
def pictures(tmp_path: Path, painted) -> Path:
    """Seven pictures, b to h, the last one without a hand."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, name in enumerate("bcdefgh"):
        hands = [("right", 5 + i, 5, 40)] if name != "h" else []
        cv2.imwrite(str(folder / f"{name}.png"), painted(hands, i))
    return folder


def videos(out: Path) -> list[str]:
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    return [row["video"] for row in rows if row["frame"] == 0]


def made_by_an_earlier_version(out: Path) -> None:
    (out / "names.json").unlink()
    for record in (out / "parts").glob("*.read"):
        record.unlink()


@pytest.mark.parametrize("earlier", [False, True])
def test_a_picture_more_is_one_picture_more(
    pictures: Path, tmp_path: Path, painted, run, earlier: bool
) -> None:
    out = tmp_path / "out"
    assert run(pictures, out).counts["frames seen"] == 7
    if earlier:
        made_by_an_earlier_version(out)
        assert run(pictures, out).counts == {"pictures done before": 7}
    cv2.imwrite(str(pictures / "a.png"), painted([("left", 5, 5, 40)], 9))
    again = run(pictures, out)
    assert again.counts["frames seen"] == 1 and again.counts["pictures done before"] == 7
    assert sorted(videos(out)) == list("abcdefg")
    assert run(pictures, out).counts == {"pictures done before": 8}


def test_the_list_of_videos_of_pictures_and_of_earlier_rows(
    pictures: Path, tmp_path: Path, run
) -> None:
    out = tmp_path / "out"
    run(pictures, out)
    parts = sorted((out / "parts").glob("*.jsonl"))
    rows = [json.loads(line) for line in parts[0].read_text().splitlines()]
    for row in rows:
        del row["fps"], row["length"]
    parts[0].write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(pictures, out)
    ids = read_video_ids(out / "WHIM" / "train_video_ids.json")
    assert sorted(ids) == list("bcdefg") and {about["fps"] for about in ids.values()} == {0.0}
    assert {about["length"] for about in ids.values()} == {1, None}


def test_an_earlier_folder_whose_source_has_grown_doubles_nothing(
    pictures: Path, tmp_path: Path, painted, run
) -> None:
    out = tmp_path / "out"
    run(pictures, out)
    made_by_an_earlier_version(out)
    cv2.imwrite(str(pictures / "a.png"), painted([("left", 5, 5, 40)], 9))
    assert run(pictures, out).counts["frames seen"] == 2  # h had no hand: nothing tells it was read
    assert sorted(videos(out)) == list("abcdefg")


def test_a_bundle_that_was_not_finished_is_done_again(pictures: Path, tmp_path: Path, run) -> None:
    out = tmp_path / "out"
    run(pictures, out)
    (part,) = (p for p in (out / "parts").glob("*.jsonl") if '"video":"b"' in p.read_text())
    part.unlink()  # killed before the manifest, which comes last
    shard = out / "shards" / "train" / f"{part.stem}-000000.tar"
    shard.parent.mkdir(parents=True)
    shard.touch()
    (pictures / "a.png").write_bytes(b"damaged, so that the bundles are others now")
    assert run(pictures, out).counts["frames seen"] == 3
    assert sorted(videos(out)) == list("bcdefg") and not shard.exists()


def test_a_damaged_picture_is_tried_again(pictures: Path, tmp_path: Path, painted, run) -> None:
    good = (pictures / "c.png").read_bytes()
    (pictures / "c.png").write_bytes(good[:40])
    out = tmp_path / "out"
    assert run(pictures, out).counts["pictures unreadable"] == 1
    again = run(pictures, out)
    assert again.counts == {"pictures unreadable": 1, "pictures done before": 6}
    assert len((out / "trouble.jsonl").read_text().splitlines()) == 2
    (pictures / "c.png").write_bytes(good)
    assert run(pictures, out).counts["frames written"] == 1
    assert sorted(videos(out)) == list("bcdefg")


@pytest.mark.parametrize("earlier", [False, True])
def test_a_file_keeps_its_name_when_another_of_that_name_comes(
    clip: Path, tmp_path: Path, run, painted, write_clip, earlier: bool
) -> None:
    first = clip.rename(clip.with_suffix(".mkv"))  # OpenCV looks at the contents
    out = tmp_path / "out"
    run(clip.parent, out)
    if earlier:
        made_by_an_earlier_version(out)
    write_clip(clip, [painted([("left", 5, 5, 40)], i) for i in range(10)])
    again = run(clip.parent, out)  # clip.avi comes first
    assert again.counts["videos done before"] == 1 and again.counts["frames written"] == 5
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    names = {row["source"]: row["video"] for row in rows}
    assert names[str(first)] == "clip" and names[str(clip)].startswith("clip_")
    assert run(clip.parent, out).counts == {"videos done before": 2}


def test_a_source_that_moved_is_done_but_another_file_of_the_name_is_not(
    clip: Path, tmp_path: Path, run, painted, write_clip
) -> None:
    out, moved, other = tmp_path / "out", tmp_path / "moved", tmp_path / "other"
    run(clip.parent, out)
    shutil.move(clip.parent, moved)
    assert run(moved, out).counts == {"videos done before": 1}
    shutil.rmtree(moved)
    other.mkdir()
    write_clip(other / "clip.avi", [painted([("left", 5, 5, 40)], i) for i in range(10)])
    assert run(other, out).counts["videos"] == 1
    assert len(videos(out)) == 2 == len(set(videos(out)))


def test_damaged_names_are_named(clip: Path, tmp_path: Path, run) -> None:
    run(clip.parent, tmp_path / "out")
    (tmp_path / "out" / "names.json").write_text('{"clip": 3}')
    with pytest.raises(HandError, match=r"names\.json is damaged"):
        run(clip.parent, tmp_path / "out")
