from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wilor_yolo.annotate.mesh_prior import load_mesh_prior
from wilor_yolo.cli.main import main
from wilor_yolo.reconstruct.priors import load_prior
from wilor_yolo.samples import HandSample
from wilor_yolo.shards import write_shards
from wilor_yolo.synth.pose_collision import is_self_colliding


def _sample(i: int) -> HandSample:
    keypoints = np.ones((21, 3), np.float32)
    some = {"global_orient": np.zeros(3), "hand_pose": np.full(45, i / 10), "betas": np.ones(10)}
    return HandSample(
        image=np.zeros((40, 40, 3), np.uint8),
        is_right=True,
        bbox_xyxy=np.array([5, 5, 30, 30]),
        keypoints_2d=keypoints,
        source="toy",
        key=f"s{i}",
        **(some if i % 2 else {}),
    )


def test_the_three_ways(tmp_path: Path, capsys: Any) -> None:
    write_shards([_sample(i) for i in range(6)], tmp_path / "d")
    prior = tmp_path / "a.npz"
    assert main(["reconstruct", "prior", f"out={prior}", f"data={tmp_path / 'd'}"]) == 0
    assert np.allclose(load_prior(prior)[:, 0], [0.1, 0.3, 0.5])
    assert "3 hands of" in capsys.readouterr().out
    again = tmp_path / "b.npz"
    assert main(["reconstruct", "prior", f"out={again}", f"poses={prior}", "most=2"]) == 0
    assert np.allclose(load_prior(again)[:, 0], [0.1, 0.5])
    ours, mesh = tmp_path / "c.npz", tmp_path / "mesh.npz"
    keys = [f"out={ours}", "library=30", f"mesh_prior={mesh}"]
    assert main(["reconstruct", "prior", *keys]) == 0
    rows = load_prior(ours)
    assert rows.shape == (30, 55) and np.abs(rows[:, 45:]).max() <= 2.5
    assert not is_self_colliding(np.vstack((np.zeros(3), rows[0, :45].reshape(15, 3))))
    assert load_mesh_prior(mesh).d > 3 and mesh.with_suffix(".limits.yaml").is_file()


def test_mistakes(tmp_path: Path, capsys: Any) -> None:
    write_shards([_sample(0)], tmp_path / "d")
    for keys, message in (
        ([], "give one of"),
        (["library=3", f"poses={tmp_path}/x.npz"], "give one of"),
        ([f"poses={tmp_path}/x.npz"], "does not exist"),
        ([f"data={tmp_path}/d"], "no samples with hand parameters"),
    ):
        assert main(["reconstruct", "prior", f"out={tmp_path}/p.npz", *keys]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "p.npz").exists()
