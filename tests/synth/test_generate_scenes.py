from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from wilor_yolo.errors import HandError
from wilor_yolo.synth.generate_scenes import generate_scenes, render_scene
from wilor_yolo.synth.people_scene import KINDS

SIZE = 96


def test_a_picture_depends_on_seed_and_number_only():
    one, again = render_scene(3, 4, SIZE), render_scene(3, 4, SIZE)
    np.testing.assert_array_equal(one.image, again.image)
    assert one.labels == again.labels
    assert not np.array_equal(one.image, render_scene(3, 5, SIZE).image)
    assert one.image.dtype == np.uint8 and max(one.image.shape) == SIZE


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_scene_gives_valid_labels(kind):
    hands = 0
    for number in range(3):
        scene = render_scene(1, number, 3 * SIZE if kind in ("crowd", "group") else SIZE, [kind])
        for line in scene.labels.splitlines():
            hands += 1
            values = np.array(line.split(), float)
            assert values[0] in (0, 1) and len(values) == 5 + 63
            assert (values[1:5] >= 0).all() and (values[1:5] <= 1).all()
            points = values[5:].reshape(21, 3)
            assert set(points[:, 2]) <= {0, 1, 2}
            seen = points[points[:, 2] == 2, :2]
            low, high = values[1:3] - values[3:5] / 2, values[1:3] + values[3:5] / 2
            assert (seen >= low - 1e-5).all() and (seen <= high + 1e-5).all()
    assert (hands == 0) if kind == "no_hands" else (hands > 0)


def test_writes_a_yolo_data_set(tmp_path):
    result = generate_scenes(tmp_path, 3, seed=9, size=SIZE)
    assert (result.written, result.skipped) == (3, 0)
    pictures = sorted((tmp_path / "images").glob("*.jpg"))
    labels = sorted((tmp_path / "labels").glob("*.txt"))
    assert [p.stem for p in pictures] == [p.stem for p in labels]
    assert len(pictures) == 3 and not list(tmp_path.rglob("*.part"))
    assert max(cv2.imread(str(pictures[0])).shape) == SIZE
    data = yaml.safe_load((tmp_path / "scenes.yaml").read_text())
    assert data["names"] == {0: "left", 1: "right"} and "flip_idx" not in data
    assert data["train"] == data["val"] == "images" and len(data["kpt_oks_sigmas"]) == 21
    assert result.hands == sum(len(p.read_text().splitlines()) for p in labels)


def test_continues_where_it_stopped(tmp_path):
    generate_scenes(tmp_path, 2, seed=9, size=SIZE)
    pictures = sorted((tmp_path / "images").glob("*.jpg"))
    before = [p.read_bytes() for p in pictures]
    pictures[1].unlink()
    os.utime(pictures[0], (1, 1))
    result = generate_scenes(tmp_path, 2, seed=9, size=SIZE)
    assert (result.written, result.skipped) == (1, 1)
    assert [p.read_bytes() for p in pictures] == before
    assert pictures[0].stat().st_mtime == 1


def test_other_sizes_do_not_mix(tmp_path):
    generate_scenes(tmp_path, 1, seed=9, size=SIZE)
    generate_scenes(tmp_path, 1, seed=8, size=SIZE)  # names tell seeds apart
    with pytest.raises(HandError, match=f"size={SIZE}"):
        generate_scenes(tmp_path, 2, seed=9, size=2 * SIZE)
    (tmp_path / "scenes.json").write_text("{")
    with pytest.raises(HandError, match="is damaged"):
        generate_scenes(tmp_path, 2, seed=9, size=SIZE)
    (tmp_path / "scenes.json").unlink()  # as of a folder made before it was kept
    assert generate_scenes(tmp_path, 1, seed=9, size=SIZE).skipped == 1


def test_a_kill_never_leaves_a_picture_without_its_label(tmp_path, monkeypatch):
    real = os.replace

    def replace(source, target):
        if str(target).endswith(".jpg"):
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        generate_scenes(tmp_path, 1, seed=9, size=SIZE)
    assert not list((tmp_path / "images").glob("*.jpg"))
    assert len(list((tmp_path / "labels").glob("*.txt"))) == 1


@pytest.mark.slow
def test_several_workers_give_the_same_pictures(tmp_path):
    generate_scenes(tmp_path / "one", 3, seed=2, size=SIZE)
    generate_scenes(tmp_path / "two", 3, seed=2, size=SIZE, workers=2)
    for picture in sorted((tmp_path / "one" / "images").glob("*.jpg")):
        assert picture.read_bytes() == (tmp_path / "two" / "images" / picture.name).read_bytes()


def test_missing_embree_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    with pytest.raises(HandError, match=r"embreex.*wilor_yolo\[synth\]") as caught:
        generate_scenes(tmp_path, 1)
    assert "\n" not in str(caught.value)


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(HandError, match="at least 1"):
        generate_scenes(tmp_path, 0)


@pytest.mark.slow
def test_a_killed_worker_ends_the_run_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wilor_yolo", "synth", "scenes", f"out={tmp_path}"]
    run = subprocess.Popen(
        [*command, "count=400", "size=64", "workers=2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 120
        while not any(tmp_path.glob("images/*.jpg")) and time.monotonic() < until:
            time.sleep(0.2)
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)  # the first one tracks resources
        _, errors = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 2
    assert "a worker process died" in errors and "Traceback" not in errors
    assert any(tmp_path.glob("images/*.jpg"))
