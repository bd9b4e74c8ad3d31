from __future__ import annotations

import os
import sys

import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.errors import HandError
from wilor_yolo.shards import find_shards, read_shard
from wilor_yolo.synth import generate_crops as generate
from wilor_yolo.synth.generate_crops import generate_crops

SMALL = {"size": 48, "rays": 4, "per_shard": 3, "report": lambda line: None}


def test_killed_run_is_taken_up_again(tmp_path, monkeypatch):
    real, calls = generate.sample_crop, []

    def dies(seed, index, *rest):
        if index == 4:
            raise KeyboardInterrupt
        calls.append(index)
        return real(seed, index, *rest)

    monkeypatch.setattr(generate, "sample_crop", dies)
    with pytest.raises(KeyboardInterrupt):
        generate_crops(tmp_path, 7, seed=2, **SMALL)
    assert [p.name for p in find_shards(tmp_path)] == ["crops-000000.tar"]
    # What a hard kill leaves behind.
    torn = tmp_path / "crops-000001.tar.99999.tmp"
    torn.write_bytes(b"half a shard")
    os.utime(torn, (1, 1))  # long ago
    first = (tmp_path / "crops-000000.tar").read_bytes()

    monkeypatch.setattr(generate, "sample_crop", lambda *a: (calls.append(a[1]), real(*a))[1])
    calls.clear()
    paths = generate_crops(tmp_path, 7, seed=2, **SMALL)
    assert calls == [3, 4, 5, 6]
    assert not torn.exists()
    assert (tmp_path / "crops-000000.tar").read_bytes() == first
    assert [len(list(read_shard(p, strict=True))) for p in paths] == [3, 3, 1]
    assert len({s.key for p in paths for s in read_shard(p)}) == 7


def test_a_larger_count_makes_the_short_last_shard_again(tmp_path, monkeypatch):
    real, calls = generate.sample_crop, []
    monkeypatch.setattr(generate, "sample_crop", lambda *a: (calls.append(a[1]), real(*a))[1])
    first, short = generate_crops(tmp_path, 4, seed=2, **SMALL)
    kept, (before,) = first.read_bytes(), list(read_shard(short))
    calls.clear()
    paths = generate_crops(tmp_path, 8, seed=2, **SMALL)
    assert calls == [3, 4, 5, 6, 7] and first.read_bytes() == kept
    samples = [sample for path in paths for sample in read_shard(path, strict=True)]
    assert len({sample.key for sample in samples}) == len(samples) == 8
    assert samples[3] == before
    calls.clear()
    generate_crops(tmp_path, 4, seed=2, **SMALL)
    assert not calls  # more than asked for is enough
    paths[1].write_bytes(paths[1].read_bytes()[:700])
    generate_crops(tmp_path, 4, seed=2, **SMALL)
    assert calls == [3]  # a torn one is not


def test_other_settings_do_not_mix(tmp_path):
    generate_crops(tmp_path, 1, seed=2, **SMALL)
    with pytest.raises(HandError, match="seed=2"):
        generate_crops(tmp_path, 2, seed=3, **SMALL)


def test_two_workers_write_the_same_bytes(tmp_path):
    one = generate_crops(tmp_path / "one", 4, seed=2, workers=1, **{**SMALL, "per_shard": 2})
    two = generate_crops(tmp_path / "two", 4, seed=2, workers=2, **{**SMALL, "per_shard": 2})
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


def test_missing_package_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "embreex", None)
    generate._engine.cache_clear()
    with pytest.raises(HandError) as error:
        generate_crops(tmp_path, 1, **SMALL)
    generate._engine.cache_clear()
    assert 'pip install "wilor_yolo[synth]"' in str(error.value)
    assert "\n" not in str(error.value)
