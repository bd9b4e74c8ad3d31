from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wilor_yolo.detect.label_cache import read_label_cache

CONTENT = {
    "labels": [
        {
            "im_file": "a.jpg",
            "shape": (48, 64),
            "cls": np.array([[0.5], [1.0]], np.float32),
            "segments": [],
            "keypoints": np.arange(126, dtype=np.float32).reshape(2, 21, 3),
            "normalized": True,
        }
    ],
    "results": (1, 0, 0, 0, 1),
    "msgs": ["a.jpg: ignoring"],
    "version": "1.0.3",
}


def write(path: Path, value: object) -> Path:
    with open(path, "wb") as file:  # np.save would add .npy to a name
        np.save(file, value, allow_pickle=True)
    return path


def test_reads_what_was_written(tmp_path) -> None:
    content = read_label_cache(write(tmp_path / "train.cache", CONTENT))
    assert content is not None and content.keys() == CONTENT.keys()
    for key in ("results", "msgs", "version"):
        assert content[key] == CONTENT[key]
    for key, value in CONTENT["labels"][0].items():
        read = content["labels"][0][key]
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(read, value)
            assert read.dtype == value.dtype
            read += 1  # may be changed, as the data set does
        else:
            assert read == value


@pytest.mark.parametrize("value", [np.zeros(3), ["a", "list"], {"set": {Path("a")}}])
def test_other_content_is_none(value, tmp_path) -> None:
    assert read_label_cache(write(tmp_path / "train.cache", value)) is None


def test_missing_torn_and_foreign_files_are_none(tmp_path) -> None:
    whole = write(tmp_path / "train.cache", CONTENT).read_bytes()
    torn = tmp_path / "torn.cache"
    assert read_label_cache(torn) is None
    for data in (b"", whole[:5], whole[:60], whole[:-40], b"no cache at all " * 9):
        torn.write_bytes(data)
        assert read_label_cache(torn) is None
