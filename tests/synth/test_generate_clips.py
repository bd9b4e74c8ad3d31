from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import roma
import torch

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.cli.main import main
from wilor_yolo.errors import HandError
from wilor_yolo.geometry import mirror_points, project
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.metrics.temporal import jitter
from wilor_yolo.synth import generate_clips as module
from wilor_yolo.synth.generate_clips import ClipSettings, generate_clips, read_clip_truth

TINY = ClipSettings(seed=3, seconds=0.6, fps=10, width=96, height=72, rays=4)


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    generate_clips(folder, 3, TINY, report=quiet)
    return folder


def test_truth_agrees_with_itself(clips: Path) -> None:
    layer = HandLayer.free()
    sides, count = set(), 0
    for path in sorted(clips.glob("003_*.json")):
        truth = read_clip_truth(path)
        capture = cv2.VideoCapture(str(path.with_suffix(".mp4")))
        assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
        K = np.array(truth["K"])
        assert len(truth["frames"]) == 6
        for i, frame in enumerate(truth["frames"]):
            good, image = capture.read()
            assert good and image.shape == (72, 96, 3)
            assert frame["time"] == pytest.approx(i / 10)
            assert np.linalg.det(frame["camera_rotation"]) == pytest.approx(1, abs=1e-4)
            for hand in frame["hands"]:
                sides.add(hand["is_right"])
                check_hand(hand, K, layer)
                count += 1
        assert not capture.read()[0]  # as many frames as truths
    assert sides == {False, True} and count > 8


def check_hand(hand: dict, K: np.ndarray, layer: HandLayer) -> None:
    """2D is the projection of 3D, and 3D that of the parameters."""
    joints, points = np.array(hand["keypoints_3d"]), np.array(hand["keypoints_2d"])
    assert project(joints, K) == pytest.approx(points[:, :2], abs=0.01)
    with torch.no_grad():
        mesh = layer(
            roma.rotvec_to_rotmat(torch.tensor(hand["global_orient"]))[None],
            roma.rotvec_to_rotmat(torch.tensor(hand["hand_pose"]).reshape(1, 15, 3)),
            torch.tensor(hand["betas"])[None],
        )
    posed, vertices = (part[0].numpy() + hand["cam_t"] for part in (mesh.joints, mesh.vertices))
    if not hand["is_right"]:
        posed, vertices = mirror_points(posed), mirror_points(vertices)
    assert posed == pytest.approx(joints, abs=1e-4)
    pixels, box = project(vertices, K), np.array(hand["bbox_xyxy"])
    whole = np.concatenate((pixels.min(0), pixels.max(0)))
    assert box == pytest.approx(np.clip(whole, -0.5, [95.5, 71.5] * 2), abs=0.02)
    outside = (points[:, :2] < -0.5).any(1) | (points[:, :2] > (95.5, 71.5)).any(1)
    assert set(points[:, 2]) <= {0.0, 0.5, 1.0} and (points[outside, 2] == 0).all()


def test_hands_of_a_track_move_smoothly(clips: Path) -> None:
    for path in clips.glob("003_*.json"):
        frames = read_clip_truth(path)["frames"]
        for before, after in pairwise(frames):
            one, two = ({h["track"]: h for h in f["hands"]} for f in (before, after))
            for track in set(one) & set(two):
                assert one[track]["is_right"] == two[track]["is_right"]
                assert one[track]["betas"] == two[track]["betas"]
                step = np.array(two[track]["keypoints_3d"]) - one[track]["keypoints_3d"]
                assert np.linalg.norm(step, axis=1).max() < 0.35  # metres in a tenth of a second


def test_truth_jitters_less_than_a_millimetre_of_noise(clips: Path) -> None:
    rng, quieter = np.random.default_rng(0), []
    for path in clips.glob("003_*.json"):
        frames = read_clip_truth(path)["frames"]
        whole = [f["hands"][0]["keypoints_3d"] for f in frames if f["hands"]]
        if len(whole) == len(frames) and len({f["hands"][0]["track"] for f in frames}) == 1:
            joints = np.array(whole)
            noisy = joints + rng.normal(0, 0.001, joints.shape)
            # Finite differences of third order blow noise up; motion they leave alone.
            quieter.append(jitter(joints, 10) < jitter(noisy, 10))
    assert quieter and all(quieter)


def test_a_stopped_run_goes_on_with_the_same_clips(clips: Path, tmp_path: Path) -> None:
    for name in ("clips.json", "003_00000.json", "003_00000.mp4", "003_00002.json"):
        (tmp_path / name).write_bytes((clips / name).read_bytes())
    torn = [tmp_path / name for name in (".003_00001.99999.part.mp4", "003_00001.json.99.part")]
    for path in torn:
        path.write_bytes(b"half a clip")
    (tmp_path / "003_00001.mp4").write_bytes(b"a clip whose truth was not written")
    said: list[str] = []
    generate_clips(tmp_path, 3, TINY, report=said.append)
    assert "2 of 3 clips are there" in said[0] and not any(path.exists() for path in torn)
    same_truth(clips, tmp_path)
    capture = cv2.VideoCapture(str(tmp_path / "003_00001.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 6


def test_a_clip_in_the_making_is_no_video_yet(tmp_path: Path, monkeypatch) -> None:
    seen: list[str] = []

    def look(*args) -> list:
        seen.extend(path.name for path in tmp_path.glob("*"))
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "render_clip", look)
    with pytest.raises(KeyboardInterrupt):
        generate_clips(tmp_path, 1, TINY, report=quiet)
    assert [name for name in seen if name.endswith(".mp4") and name[0] != "."] == []
    assert [path.name for path in tmp_path.iterdir()] == ["clips.json"]  # nothing half is left


@pytest.mark.slow
def test_two_workers_make_the_same(clips: Path, tmp_path: Path) -> None:
    generate_clips(tmp_path, 3, TINY, workers=2, report=quiet)
    same_truth(clips, tmp_path)


def same_truth(clips: Path, folder: Path) -> None:
    names = sorted(path.name for path in clips.glob("*.json"))
    assert names == sorted(path.name for path in folder.glob("*.json"))
    for name in names:
        assert (folder / name).read_bytes() == (clips / name).read_bytes()


def test_bad_arguments(clips: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    with pytest.raises(HandError, match="seed=3"):
        generate_clips(clips, 3, ClipSettings(seed=4), report=quiet)
    with pytest.raises(HandError, match="even"):
        generate_clips(tmp_path, 1, ClipSettings(width=97), report=quiet)
    with pytest.raises(HandError, match="2 frames"):
        generate_clips(tmp_path, 1, ClipSettings(seconds=0.01), report=quiet)
    (tmp_path / "x.json").write_text(json.dumps([1]))
    for name in ("x.json", "absent.json"):
        with pytest.raises(HandError, match="no clip's truth"):
            read_clip_truth(tmp_path / name)
    assert main(["synth", "clips", "out=x", "count=1", "secs=2"]) == 2
    assert "Did you mean 'seconds'" in capsys.readouterr().err
    monkeypatch.setattr(module, "_engine", lambda hand: None)
    monkeypatch.setattr(module, "_make_clip", lambda job: f"{job[1].seed}_{job[2]}")
    monkeypatch.chdir(tmp_path)
    assert main(["synth", "clips", "out=o", "count=2", "seconds=1", "width=64", "seed=9"]) == 0
    assert json.loads((tmp_path / "o" / "clips.json").read_text())["width"] == 64
