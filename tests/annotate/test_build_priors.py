from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wilor_yolo.annotate.biomechanics import read_limits
from wilor_yolo.annotate.build_priors import build, main, read_npz, read_shards
from wilor_yolo.annotate.mesh_prior import load_mesh_prior
from wilor_yolo.errors import HandError
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.samples import HandSample
from wilor_yolo.shards import write_shards


def test_library_of_an_npz(tmp_path: Path) -> None:
    path = tmp_path / "poses.npz"
    pose = np.random.default_rng(0).normal(size=(5, 48)).astype(np.float32)
    np.savez(path, hand_pose=pose, betas=np.ones((5, 10)))
    poses, betas = read_npz(path)
    assert poses.reshape(5, 45).tolist() == pose[:, 3:].tolist()  # without the orientation
    assert betas.tolist() == np.ones((5, 10)).tolist()
    np.savez(path, hand_pose=pose[:, 3:])
    poses, betas = read_npz(path)
    assert poses.shape == (5, 15, 3) and betas.std() > 0.5 and np.abs(betas).max() <= 2.5
    np.savez(path, hand_pose=np.zeros((5, 9)))
    with pytest.raises(HandError, match=r"not \(N, 45\)"):
        read_npz(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(HandError, match="no pose library"):
        read_npz(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(HandError, match="no pose library"):
        read_npz(path)


def test_library_of_shards(tmp_path: Path) -> None:
    common = {
        "image": np.zeros((8, 8, 3), np.uint8),
        "is_right": True,
        "bbox_xyxy": np.array([1, 1, 6, 6]),
        "keypoints_2d": np.zeros((21, 3)),
        "source": "x",
    }
    pose = {"global_orient": np.zeros(3), "hand_pose": np.full(45, 0.2), "betas": np.ones(10)}
    write_shards([HandSample(key="a", **common), HandSample(key="b", **common, **pose)], tmp_path)
    poses, betas = read_shards([str(tmp_path)])
    assert poses.shape == (1, 15, 3) and betas[0].tolist() == [1.0] * 10
    (tmp_path / "none").mkdir()
    write_shards([HandSample(key="a", **common)], tmp_path / "none")
    with pytest.raises(HandError, match="no samples"):
        read_shards([str(tmp_path / "none")])


def test_both_files_are_written_and_fit_the_library(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    library = (
        (
            load_mesh_prior().poses.numpy()[rng.choice(40, 150)]
            + rng.normal(size=(150, 15, 3)) * 0.05
        ).astype(np.float32),
        rng.normal(size=(150, 10)).astype(np.float32),
    )
    prior_path, limits_path = tmp_path / "p" / "prior.npz", tmp_path / "l" / "limits.yaml"
    build(library, HandLayer.free(), prior_path, limits_path, "a test")
    prior, limits = load_mesh_prior(prior_path), read_limits(limits_path)
    assert prior.source == "a test" and "percentile of a test" in limits.source
    assert 5 <= prior.d <= 80 and 20 <= len(prior.poses) <= 48
    assert (limits.bones[:, 0] < limits.bones[:, 1]).all()
    assert float(limits.bones.min()) > 0.01 and float(limits.bones.max()) < 0.15


def test_mistakes_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--poses", str(tmp_path / "absent.npz"), "--prior", str(tmp_path / "p.npz")]
    with pytest.raises(SystemExit):  # what every other fit uses is not the place to write to
        main(words)
    assert "--limits" in capsys.readouterr().err
    assert main([*words, "--limits", str(tmp_path / "l.yaml")]) == 1
    told = capsys.readouterr().err
    assert "absent.npz" in told and told.count("\n") == 1
