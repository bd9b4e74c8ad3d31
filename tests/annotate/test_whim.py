from __future__ import annotations

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from wilor_yolo.annotate.whim import (
    WHIM_DTYPE,
    WhimHand,
    extract_frames,
    read_frame,
    read_video_ids,
    write_frame,
)
from wilor_yolo.annotate.whim_frames import _array
from wilor_yolo.errors import HandError, ImageError

K = np.array([[37500.0, 0, 960], [0, 37500.0, 540], [0, 0, 1]])


def released(tensors: bool = False, **changes) -> dict:
    rng = np.random.default_rng(0)
    hand = {
        "bbox": np.array([100.0, 200, 300, 400]),
        "joints_3d": rng.normal(size=(21, 3)) * 0.05,
        "vertices": rng.normal(size=(778, 3)) * 0.05,
        "joints_2d": rng.normal(size=(778, 2)),  # projected vertices, as some files have
        "K": K,
        "trans": np.array([0.1, 0.0, 40.0]),
        "side": 1,
        **changes,
    }
    if tensors:
        return {
            name: torch.tensor(value) if isinstance(value, np.ndarray) else value
            for name, value in hand.items()
        }
    return hand


def save(path: Path, hands: list[dict]) -> Path:
    array = np.empty(len(hands), object)
    array[:] = hands
    np.save(path, array, allow_pickle=True)
    return path


@pytest.mark.parametrize("tensors", [False, True])
def test_released_frames_are_read_without_pickle(tmp_path: Path, tensors: bool) -> None:
    both = [released(tensors), released(tensors, side=np.int64(0))]
    first, second = read_frame(save(tmp_path / "0.npy", both))
    assert first.is_right and not second.is_right
    assert first.bbox.tolist() == [100, 200, 300, 400]
    want = (released()["joints_3d"] + released()["trans"]) @ K.T
    assert first.keypoints_2d == pytest.approx(want[:, :2] / want[:, 2:], rel=1e-4)
    assert first.vertices is not None and first.vertices.shape == (778, 3)
    assert first.vertices == pytest.approx(released()["vertices"], abs=1e-6)


@pytest.mark.parametrize("tensors", [False, True])
def test_frames_in_the_pickles_of_python_2(tmp_path: Path, tensors: bool) -> None:
    array = np.empty(1, object)
    array[:] = [released(tensors, side=np.int64(0), confidence=np.float32(0.5))]
    path = tmp_path / "0.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        pickle.dump(array, file, protocol=2)  # bytes are text there
    (hand,) = read_frame(path)
    assert not hand.is_right and hand.confidence == 0.5
    assert hand.joints_3d == pytest.approx(released()["joints_3d"], abs=1e-6)


def test_views_of_tensors(tmp_path: Path) -> None:
    turned = torch.arange(63.0).reshape(3, 21).T[:, :]
    hand = released(joints_3d=turned)
    assert read_frame(save(tmp_path / "0.npy", [hand]))[0].joints_3d.tolist() == turned.tolist()


def test_code_in_a_frame_is_refused_and_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "pwned",)

    path = save(tmp_path / "0.npy", [released(extra=Evil())])
    with pytest.raises(HandError, match="nothing in it was run"):
        read_frame(path)
    assert not (tmp_path / "pwned").exists()

    # A storage is a file of torch inside; that is read by torch's own restricted loader.
    class EvilStorage:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (pickle.dumps(Evil()),)

    tensor = torch.zeros(3)
    rebuild = torch._utils._rebuild_tensor_v2

    class EvilTensor:
        def __reduce__(self):
            return rebuild, (EvilStorage(), 0, (3,), (1,), False, {})

    assert tensor.shape == (3,)
    with pytest.raises(HandError, match="cannot be read"):
        read_frame(save(tmp_path / "1.npy", [released(trans=EvilTensor())]))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "data", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x76\x00{'descr'", b"x" * 99]
)
def test_damaged_frames(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "0.npy"
    path.write_bytes(data)
    with pytest.raises(HandError, match=r"0\.npy"):
        read_frame(path)


def test_other_contents(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(4))
    save(tmp_path / "b.npy", [{"bbox": np.zeros(4)}])
    for name in ("a.npy", "b.npy", "absent.npy"):
        with pytest.raises(HandError, match=name):
            read_frame(tmp_path / name)


def test_ours_needs_no_pickle_and_reads_like_theirs(tmp_path: Path) -> None:
    hands = np.zeros(2, WHIM_DTYPE)
    hands["bbox"][1], hands["side"][1] = (1, 2, 3, 4), 1
    hands["K"], hands["trans"] = K, (0, 0, 40)
    path = tmp_path / "video" / "000003.npy"
    write_frame(path, hands)
    plain = np.load(path, allow_pickle=False)
    assert plain[1]["bbox"].tolist() == [1, 2, 3, 4]  # as hand["bbox"] of a released file
    read = read_frame(path)
    assert [hand.is_right for hand in read] == [False, True]
    assert read[0].keypoints_2d == pytest.approx(np.tile(K[:2, 2], (21, 1)))
    assert [p.name for p in path.parent.iterdir()] == ["000003.npy"]
    with pytest.raises(HandError, match="WHIM_DTYPE"):
        write_frame(path, np.zeros(2))


def test_a_hand_without_3d_keeps_its_keypoints(tmp_path: Path) -> None:
    hand = WhimHand(np.array([0, 0, 10, 10]), True, keypoints_2d=np.full((21, 2), 5, np.float32))
    write_frame(tmp_path / "0.npy", _array([hand]))
    (read,) = read_frame(tmp_path / "0.npy")
    assert read.joints_3d is None and read.K is None and read.trans is None
    np.testing.assert_array_equal(read.keypoints_2d, hand.keypoints_2d)


def test_frames_of_a_download_of_another_size_and_rate(tmp_path: Path) -> None:
    video = tmp_path / "abc.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 30, (96, 54))
    for i in range(12):
        writer.write(np.full((54, 96, 3), i * 20, np.uint8))
    writer.release()
    folder = tmp_path / "anno"
    folder.mkdir()
    for number in (1, 4):
        save(folder / f"{number}.npy", [released()])
    frames = list(extract_frames(video, folder, fps=15, size=(1920, 1080)))
    assert [number for number, _, _ in frames] == [1, 4]
    for number, image, (hand,) in frames:
        assert image.mean() == pytest.approx(number * 2 * 20, abs=3)  # frame number * 30 / 15
        assert hand.bbox.tolist() == pytest.approx([5, 10, 15, 20])
        assert hand.K is not None and hand.K[0, 2] == pytest.approx(48)
        full = read_frame(folder / f"{number}.npy")[0]
        assert hand.keypoints_2d == pytest.approx(full.keypoints_2d / 20, rel=1e-4)
    with pytest.raises(ImageError, match="download"):
        list(extract_frames(tmp_path / "gone.mp4", folder, 15, (1920, 1080)))
    with pytest.raises(HandError, match="no annotations"):
        list(extract_frames(video, tmp_path, 15, (1920, 1080)))


def test_video_ids(tmp_path: Path) -> None:
    path = tmp_path / "train_video_ids.json"
    path.write_text(json.dumps({"abc": {"res": [1080, 1920], "length": 900, "fps": 30}}))
    assert read_video_ids(path) == {"abc": {"res": [1080, 1920], "fps": 30.0, "length": 900}}
    path.write_text(json.dumps({"abc": {"res": [1080, 1920]}}))
    with pytest.raises(HandError, match="no WHIM list"):
        read_video_ids(path)
