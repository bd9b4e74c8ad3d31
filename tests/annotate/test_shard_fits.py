from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import roma
import torch

from wilor_yolo.annotate.fitting import FitSettings, HandFitter, Stage
from wilor_yolo.annotate.shard_fits import FOCAL, fit_shards
from wilor_yolo.cli.main import main
from wilor_yolo.errors import HandError
from wilor_yolo.geometry import mirror_points, project
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.metrics.procrustes import align_similarity
from wilor_yolo.reconstruct.ray import ray_rotation
from wilor_yolo.samples import HandSample
from wilor_yolo.shards import iterate_samples, read_shard, write_shards

STAGES = (
    Stage(("orient", "wrist"), 20, 0.05, 1),
    Stage(("orient", "wrist", "pose", "betas"), 60, 0.05, 1),
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    """A right hand, the same as a left one, nonsense, and a hand that has parameters."""
    K = np.array([[420, 0, 95], [0, 420, 95], [0, 0, 1.0]])
    layer = HandLayer.free()
    turn = roma.rotvec_to_rotmat(torch.tensor([[1.2, 0.5, -0.3]]))
    with torch.no_grad():
        joints = layer(turn, torch.eye(3).expand(1, 15, 3, 3), torch.zeros(1, 10)).joints[0]
    joints = (joints - joints.mean(0)).numpy() + np.array([0, 0, 0.6])
    points = np.concatenate((project(joints, K), np.ones((21, 1))), 1)
    image = np.random.default_rng(0).integers(0, 255, (191, 191, 3), np.uint8)
    box = np.concatenate((points[:, :2].min(0), points[:, :2].max(0)))
    right = HandSample(image, True, box, points, "t", "right", joints - joints[0], 0.15)
    left = HandSample(**{**vars(right.mirrored()), "key": "left"})
    scattered = points.copy()
    scattered[:, :2] = np.random.default_rng(1).uniform(20, 170, (21, 2))
    wrong = HandSample(image, True, box, scattered, "t", "wrong")
    zeros = {"global_orient": np.zeros(3), "hand_pose": np.zeros(45), "betas": np.zeros(10)}
    known = HandSample(image, True, box, points, "t", "known", **zeros)
    folder = tmp_path_factory.mktemp("shards")
    write_shards([right, left, wrong, known], folder, "real")
    return folder


def test_accepted_fits_project_on_the_landmarks(shards: Path, tmp_path: Path) -> None:
    fitter = HandFitter(settings=FitSettings(starts=1, stages=STAGES), batch=3)
    out, lines = tmp_path / "fit", []
    result = fit_shards(shards, out, fitter, report=lines.append)
    assert result.counts == {
        "fits converged": 2,
        "fits residual": 1,
        "samples that had parameters": 1,
    }
    before = {e.key: e for e in read_shard(shards / "real-000000.tar", strict=True)}
    after = {e.key: e for e in read_shard(out / "real-000000.tar", strict=True)}
    assert list(before) == list(after) and len(lines) == 1
    assert all(before[key].jpeg == after[key].jpeg for key in before)
    assert after["wrong"] == before["wrong"] and after["known"] == before["known"]
    layer = HandLayer.free()
    for key in ("right", "left"):
        sample = after[key].decode()
        assert sample.keypoints_3d is not None and sample.K is not None
        assert sample.keypoints_3d_confidence == pytest.approx(0.3)
        off = project(sample.keypoints_3d.astype(float), sample.K) - sample.keypoints_2d[:, :2]
        size = float((sample.bbox_xyxy[2:] - sample.bbox_xyxy[:2]).max())
        assert np.linalg.norm(off, axis=1).mean() < 0.03 * size
        # The parameters are those of a right hand, for a left one in the mirrored camera.
        with torch.no_grad():
            posed = layer(
                roma.rotvec_to_rotmat(torch.tensor(sample.global_orient))[None],
                roma.rotvec_to_rotmat(torch.tensor(sample.hand_pose).reshape(1, 15, 3)),
                torch.tensor(sample.betas)[None],
            )
        joints = posed.joints[0].numpy() + sample.cam_t
        joints = joints if sample.is_right else mirror_points(joints)
        assert joints == pytest.approx(sample.keypoints_3d, abs=1e-4)
    rows = [json.loads(line) for line in (out / "real-000000.fits.jsonl").read_text().splitlines()]
    assert {row["key"]: row["status"] for row in rows} == {
        "right": "converged",
        "left": "converged",
        "wrong": "residual",
    }
    assert rows[0]["residual"] == pytest.approx(result.residuals[0], abs=1e-6)

    again = fit_shards(shards, out, fitter, report=lines.append)
    assert again.counts == {"shards done before": 1} and len(lines) == 1


def measured(key: str, is_right: bool) -> HandSample:
    """A hand with measured joints far from the middle of its camera."""
    K = np.array([[300, 0, 95], [0, 300, 95], [0, 0, 1.0]])
    with torch.no_grad():
        pose = torch.eye(3).expand(1, 15, 3, 3)
        turn = roma.rotvec_to_rotmat(torch.tensor([[1.2, 0.5, -0.3]]))
        joints = HandLayer.free()(turn, pose, torch.zeros(1, 10)).joints[0].numpy()
    joints = joints - joints.mean(0) + np.array([0.6, -0.4, 0.7])
    points = np.concatenate((project(joints, K), np.ones((21, 1))), 1)
    box = np.concatenate((points[:, :2].min(0), points[:, :2].max(0)))
    image = np.zeros((191, 191, 3), np.uint8)
    right = HandSample(image, True, box, points, "t", key, joints, 1.0, K)
    return right if is_right else right.mirrored()


def test_measured_joints_stay(tmp_path: Path) -> None:
    write_shards([measured("right", True), measured("left", False)], tmp_path / "in")
    fitter = HandFitter(settings=FitSettings(starts=1, stages=STAGES))
    fit_shards(tmp_path / "in", tmp_path / "out", fitter, report=lambda line: None)
    before, after = (list(iterate_samples(tmp_path / part)) for part in ("in", "out"))
    assert [sample.has_parameters for sample in after] == [True, True]
    for old, new in zip(before, after, strict=True):
        assert new.keypoints_3d_confidence == 1.0
        assert np.array_equal(old.keypoints_3d, new.keypoints_3d)


class Heard(Exception):
    """What a fitter was given."""


class Hears(HandFitter):
    def __init__(self) -> None:
        super().__init__(batch=4)

    def __call__(self, *given: np.ndarray) -> None:  # type: ignore[override]
        raise Heard(given[-1])


def test_a_reconstructor_is_half_of_the_hint_where_joints_are_guesses(
    shards: Path, tmp_path: Path
) -> None:
    samples = {sample.key: sample for sample in iterate_samples(shards)}
    guess = samples["right"].keypoints_3d
    seen = guess * [1, 1, 1.4] + [0, 0, 0.6]  # deeper than the guess

    class Sees:
        weights = shards / "real-000000.tar"  # any file

        def reconstruct_boxes(self, image, bbox_xyxy, is_right, K):
            assert K[0, 0] == FOCAL * 191 and bbox_xyxy.shape == (1, 4)
            found = seen if is_right[0] else mirror_points(seen)
            return SimpleNamespace(joints=found[None].astype(np.float32))

    with pytest.raises(Heard) as heard:
        fit_shards(shards, tmp_path, Hears(), reconstructor=Sees())
    right, left, without = heard.value.args[0]
    half = (align_similarity(guess[None], seen[None])[0] + seen) / 2
    assert right == pytest.approx(half, abs=1e-5)
    assert mirror_points(left) == pytest.approx(half, abs=1e-5)
    assert without == pytest.approx(seen, abs=1e-5)

    write_shards([measured("m", True)], tmp_path / "in", "real")
    with pytest.raises(Heard) as heard:
        fit_shards(tmp_path / "in", tmp_path / "out", Hears(), reconstructor=Sees())


def test_joints_in_a_camera_are_turned_to_the_ray_as_a_hint(tmp_path: Path) -> None:
    samples = [measured("right", True), measured("left", False)]
    write_shards(samples, tmp_path / "in")
    with pytest.raises(Heard) as heard:
        fit_shards(tmp_path / "in", tmp_path / "out", Hears())
    for hint, sample in zip(heard.value.args[0], samples, strict=True):
        points = sample.keypoints_2d[:, :2]
        to_ray = ray_rotation((points.min(0) + points.max(0)) / 2, sample.K)[0]
        expected = (sample.keypoints_3d - sample.keypoints_3d.mean(0)) @ to_ray.T
        assert hint - hint.mean(0) == pytest.approx(expected, abs=1e-5)
        assert np.abs(expected - (sample.keypoints_3d - sample.keypoints_3d.mean(0))).max() > 0.01


def test_other_settings_in_a_folder_are_refused(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def fit(projection: str = "full", limits: float = 1.0, **keys: object) -> object:
        fitter = Hears()
        fitter.settings = FitSettings(projection)
        fitter.limits = replace(fitter.limits, bones=fitter.limits.bones * limits)
        return fit_shards(shards, out, fitter, **keys)

    out.mkdir()
    (out / "real-000000.tar").touch()  # of an earlier version, which kept no settings
    assert fit().counts == {"shards done before": 1} and (out / "settings.json").is_file()
    assert fit().counts == {"shards done before": 1}
    weights = SimpleNamespace(weights=shards / "real-000000.tar")
    for keys, named in (
        ({"focal": 3.0}, r"made with focal=2\.0; use the same settings or another folder"),
        ({"confidence": 0.5}, "confidence=0"),
        ({"projection": "weak"}, "projection=full"),
        ({"limits": 1.1}, "limits="),
        ({"reconstructor": weights}, "reconstructor=None"),
    ):
        with pytest.raises(HandError, match=named):
            fit(**keys)


def test_a_run_that_was_stopped_leaves_no_shard(shards: Path, tmp_path: Path) -> None:
    class Stops(HandFitter):
        def __init__(self) -> None:
            super().__init__(batch=2)

        def __call__(self, *_: object) -> None:  # type: ignore[override]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_shards(shards, tmp_path / "out", Stops())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["settings.json"]


def test_wrong_places(shards: Path, tmp_path: Path, capsys) -> None:
    assert main(["annotate", "shards", f"source={shards}", f"out={shards}"]) == 2
    assert "give another folder" in capsys.readouterr().err
    assert main(["annotate", "shards", f"source={tmp_path}", "out=x"]) == 2
    assert "no shards" in capsys.readouterr().err
    assert main(["annotate", "shards", f"source={shards}", "out=x", "hand_model=m.npz"]) == 2
    assert "prior=" in capsys.readouterr().err
    odd = tmp_path / "odd.tar"
    odd.write_bytes((shards / "real-000000.tar").read_bytes())
    with pytest.raises(HandError, match="rename it"):
        fit_shards(odd, tmp_path / "out", HandFitter(settings=FitSettings(stages=STAGES)))


def test_shards_are_checked_before_the_first_is_fitted(shards: Path, tmp_path: Path) -> None:
    (whole,) = shards.glob("*.tar")
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        (tmp_path / part / whole.name).write_bytes(whole.read_bytes())
    with pytest.raises(HandError, match="have one name"):
        fit_shards(str(tmp_path / "*" / "*.tar"), tmp_path / "out", Hears())
    (tmp_path / "a" / whole.name).write_bytes(whole.read_bytes()[:60_000])
    with pytest.raises(HandError, match="is torn"):
        fit_shards(tmp_path / "a", tmp_path / "out", Hears())
    (tmp_path / "a" / whole.name).write_bytes(b"")
    with pytest.raises(HandError, match="is torn"):
        fit_shards(tmp_path / "a", tmp_path / "out", Hears())
    assert not (tmp_path / "out").exists()
