from __future__ import annotations

import io
import os
import tarfile

import numpy as np
import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.samples import HandSample
from wilor_yolo.shards import (
    ShardWriter,
    find_shards,
    hash_shards,
    iterate_samples,
    read_shard,
    remove_abandoned,
    write_shards,
)


def make_sample(key, value=0):
    keypoints = np.full((21, 3), 0.5, np.float32)
    keypoints[:, 0] = value
    image = np.full((32, 40, 3), value, np.uint8)
    return HandSample(image, True, np.array([1, 2, 30, 31]), keypoints, "test", key)


def test_round_trip_and_numbering(tmp_path):
    paths = write_shards((make_sample(f"k{i}", i) for i in range(7)), tmp_path, "x", 3)
    assert [p.name for p in paths] == ["x-000000.tar", "x-000001.tar", "x-000002.tar"]
    assert find_shards(tmp_path) == paths == find_shards(str(tmp_path / "x-*.tar"))
    back = list(iterate_samples(tmp_path, strict=True))
    assert [s.key for s in back] == [f"k{i}" for i in range(7)]
    assert [round(float(s.keypoints_2d[0, 0])) for s in back] == list(range(7))
    assert not list(tmp_path.glob("*.tmp"))


def test_webdataset_reads_our_shards(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    (path,) = write_shards([make_sample("k0"), make_sample("k1")], tmp_path)
    rows = list(webdataset.WebDataset(str(path), shardshuffle=False).decode())
    assert [row["__key__"] for row in rows] == ["k0", "k1"]
    assert rows[0]["json"]["source"] == "test"


def test_unfinished_shards_stay_invisible(tmp_path):
    writer = ShardWriter(tmp_path, per_shard=10)
    writer.add(make_sample("k0"))
    assert find_shards(tmp_path) == []
    writer.close()
    assert len(find_shards(tmp_path)) == 1
    with pytest.raises(RuntimeError, match="stop"), ShardWriter(tmp_path, "y") as writer:
        writer.add(make_sample("k0"))
        raise RuntimeError("stop")
    assert len(list(tmp_path.iterdir())) == 1


def test_torn_shard_is_named_and_read_up_to_the_tear(tmp_path):
    (path,) = write_shards((make_sample(f"k{i}") for i in range(5)), tmp_path)
    with tarfile.open(path) as tar:
        cut = tar.getmember("k3.jpg").offset_data + 100
        boundary = tar.getmember("k3.jpg").offset
    whole = path.read_bytes()
    path.write_bytes(whole[:boundary])
    with pytest.warns(UserWarning, match="end marker"):
        assert len(list(read_shard(path))) == 3
    path.write_bytes(whole[:cut])
    with pytest.warns(UserWarning, match=r"hands-000000\.tar: torn after k2\.json"):
        assert [s.key for s in read_shard(path)] == ["k0", "k1", "k2"]
    with pytest.raises(HandError, match="torn after"):
        list(read_shard(path, strict=True))


def test_incomplete_and_foreign_members_are_named(tmp_path):
    path = tmp_path / "odd.tar"
    good = make_sample("good").encode()
    with tarfile.open(path, "w") as tar:
        members = [("half.jpg", good.jpeg), ("evil.pyd", b"x")]
        members += [("good.json", good.label), ("good.jpg", good.jpeg)]
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    with pytest.warns(UserWarning) as caught:
        assert [s.key for s in read_shard(path)] == ["good"]
    text = " ".join(str(w.message) for w in caught)
    assert "evil.pyd" in text and "'half'" in text


def test_damaged_sample_is_skipped_or_stops(tmp_path):
    from wilor_yolo.samples import EncodedSample

    good = make_sample("a").encode()
    bad = EncodedSample("b", good.jpeg[:10], good.label)
    write_shards([good, bad, make_sample("c")], tmp_path)
    with pytest.warns(UserWarning, match="sample b"):
        assert [s.key for s in iterate_samples(tmp_path)] == ["a", "c"]
    with pytest.raises(HandError, match="sample b"):
        list(iterate_samples(tmp_path, strict=True))


def test_errors(tmp_path):
    with pytest.raises(HandError, match="no such shard"):
        find_shards(tmp_path / "nowhere")
    assert find_shards(tmp_path) == []
    with pytest.raises(HandError, match="twice"), ShardWriter(tmp_path) as writer:
        writer.add(make_sample("a"))
        writer.add(make_sample("a"))


def test_hash_follows_content(tmp_path):
    first = write_shards([make_sample("a", 1)], tmp_path / "1")
    same = write_shards([make_sample("a", 1)], tmp_path / "2")
    other = write_shards([make_sample("a", 2)], tmp_path / "3")
    assert hash_shards(first) == hash_shards(same) != hash_shards(other)


def test_only_abandoned_shards_are_removed(tmp_path):
    old, new, other = (
        tmp_path / f"{name}.tmp" for name in ("a-000000.tar.1", "a-000000.tar.2", "a-000001.tar.1")
    )
    for path in (old, new, other):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    os.utime(other, (1, 1))
    remove_abandoned(tmp_path, "a-000000.tar")
    assert sorted(tmp_path.iterdir()) == [new, other]
