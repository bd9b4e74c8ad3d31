from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from wilor_yolo.annotate.whim import WHIM_DTYPE, read_frame, write_frame
from wilor_yolo.annotate.whim_frames import extract_whim
from wilor_yolo.cli.main import main
from wilor_yolo.errors import HandError
from wilor_yolo.mano.layer import HandLayer


def write_video(path: Path, frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (96, 54))
    for i in range(frames):
        writer.write(np.full((54, 96, 3), i * 20, np.uint8))
    writer.release()


@pytest.fixture()
def released(tmp_path: Path) -> Path:
    """Labels of four videos at 1920 x 1080 and 15 frames a second, and what was downloaded."""
    root, videos = tmp_path / "WHIM", tmp_path / "videos"
    videos.mkdir()
    hand = np.zeros(1, WHIM_DTYPE)
    hand["bbox"], hand["side"] = (760, 340, 1160, 740), 1
    eye = torch.eye(3)
    with torch.no_grad():
        mesh = HandLayer.free()(eye[None], eye.expand(1, 15, 3, 3), torch.zeros(1, 10))
    joints = mesh.joints[0].numpy()
    hand["joints_3d"] = joints - joints.mean(0)
    hand["trans"], hand["K"] = (0, 0, 1), [[2000, 0, 960], [0, 2000, 540], [0, 0, 1]]
    for name in ("aaa", "bbb", "ccc", "gone"):
        for number in (0, 2, 4):
            write_frame(root / "train" / "anno" / name / f"{number:06d}.npy", hand)
    about = {"res": [1080, 1920], "length": 5, "fps": 15}
    ids = {name: about for name in ("aaa", "bbb", "ccc", "gone")}
    (root / "train_video_ids.json").write_text(json.dumps(ids))
    write_video(videos / "aaa.avi", 12)
    write_video(videos / "A title [bbb].avi", 6)
    (videos / "ccc.mp4").write_bytes(b"\0" * 300)
    return root


def test_pictures_and_labels_fit_the_download(released: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "frames"
    said: list[str] = []
    done = extract_whim(released, "train", tmp_path / "videos", out, said.append)
    assert done.missing == ["gone"] and (out / "train_missing.txt").read_text() == "gone\n"
    assert [name for name, _ in done.broken] == ["ccc"] and "damaged" in done.broken[0][1]
    assert done.counts == {"videos": 2, "frames": 5, "frames beyond the end": 1}
    assert "bbb: 2 frames of 3" in "\n".join(said)
    folder = out / "train" / "anno" / "aaa"
    for number in (0, 2, 4):
        image = cv2.imread(str(folder / f"{number:06d}.jpg"))
        assert image.shape == (54, 96, 3)
        assert image.mean() == pytest.approx(number * 2 * 20, abs=3)  # 30 / 15 frames a second
        (hand,) = read_frame(folder / f"{number:06d}.npy")
        assert hand.bbox.tolist() == pytest.approx([38, 17, 58, 37])
        assert hand.keypoints_2d is not None
        assert hand.keypoints_2d.mean(0) == pytest.approx([48, 27], abs=3)
    assert sorted(p.name for p in folder.parent.iterdir()) == ["aaa", "bbb"]

    # What was written is a set that `data convert` reads.
    shards = tmp_path / "shards"
    keys = ["to=reconstructor", f"root={out}", f"out={shards}"]
    assert main(["data", "convert", "whim", *keys]) == 0
    assert list(shards.rglob("*.tar"))
    capsys.readouterr()


def test_a_stopped_run_goes_on(released: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "frames"
    torn = out / "train" / "anno" / "aaa.99999.part"
    torn.mkdir(parents=True)
    (torn / "000000.jpg").write_bytes(b"half")
    words = ["annotate", "whim", f"root={released}", f"videos={tmp_path / 'videos'}", f"out={out}"]
    assert main(words) == 1  # some are missing
    assert not torn.exists()
    before = (out / "train" / "anno" / "aaa" / "000002.jpg").stat().st_mtime_ns
    write_video(tmp_path / "videos" / "gone.avi", 12)
    (tmp_path / "videos" / "ccc.mp4").unlink()
    write_video(tmp_path / "videos" / "ccc.avi", 12)
    assert main(words) == 0
    assert (out / "train" / "anno" / "aaa" / "000002.jpg").stat().st_mtime_ns == before
    assert (out / "train_missing.txt").read_text() == ""
    assert "2 videos done before" in capsys.readouterr().out


def test_wrong_places(released: Path, tmp_path: Path) -> None:
    with pytest.raises(HandError, match="another folder"):
        extract_whim(released, "train", tmp_path / "videos", released)
    with pytest.raises(HandError, match="test_video_ids"):
        extract_whim(released, "test", tmp_path / "videos", tmp_path / "out")
    with pytest.raises(HandError, match="downloaded videos"):
        extract_whim(released, "train", tmp_path / "absent", tmp_path / "out")
