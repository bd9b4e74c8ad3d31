from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
import torch

from wilor_yolo.errors import HandError
from wilor_yolo.reconstruct.augment import AugmentConfig
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.loader import BatchLoader
from wilor_yolo.reconstruct.mixing import DataGroup, MixSchedule, SampleStore
from wilor_yolo.samples import EncodedSample
from wilor_yolo.shards import read_shard, write_shards


def test_shares_are_exact_and_even():
    schedule = MixSchedule([50, 400, 7], [0.5, 0.3, 0.2], seed=1)
    drawn = [schedule.draw(i)[0] for i in range(2000)]
    assert Counter(drawn) == {0: 1000, 1: 600, 2: 400}
    for start in range(0, 2000, 100):
        count = Counter(drawn[start : start + 100])
        assert abs(count[0] - 50) <= 2 and abs(count[1] - 30) <= 2 and abs(count[2] - 20) <= 2


def test_each_round_of_a_group_shows_every_sample_once():
    schedule = MixSchedule([13, 90], [0.4, 0.6], seed=3)
    for group, size in ((0, 13), (1, 90)):
        indices = [i for g, i in map(schedule.draw, range(3000)) if g == group]
        rounds = [indices[k : k + size] for k in range(0, len(indices) - size, size)]
        assert len(rounds) > 5
        assert all(sorted(r) == list(range(size)) for r in rounds)
        assert rounds[0] != rounds[1]


def test_order_is_a_pure_function_of_seed_and_position():
    a = MixSchedule([10, 30], [None, None], seed=5)
    b = MixSchedule([10, 30], [None, None], seed=5)
    assert [b.draw(i) for i in reversed(range(500))] == [a.draw(i) for i in range(500)][::-1]
    other = MixSchedule([10, 30], [None, None], seed=6)
    assert [other.draw(i) for i in range(50)] != [a.draw(i) for i in range(50)]


def test_threads_may_forget_each_others_rounds():
    class Emptied(dict):
        """As if another thread cleared it right after this one wrote to it."""

        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            self.clear()

    schedule, shared = (MixSchedule([10, 30], [None, None], seed=5) for _ in range(2))
    shared._orders = Emptied()
    assert [shared.draw(i) for i in range(90)] == [schedule.draw(i) for i in range(90)]


def test_weights_default_to_sizes_and_are_checked():
    drawn = Counter(MixSchedule([100, 300], [None, None], 0).draw(i)[0] for i in range(1000))
    assert drawn == {0: 250, 1: 750}
    # A tiny group is not rounded away.
    assert Counter(MixSchedule([1, 100_000], [None, None], 0).draw(i)[0] for i in range(1000))[0]
    with pytest.raises(HandError, match="every data group"):
        MixSchedule([1, 1], [0.5, None], 0)
    with pytest.raises(HandError, match="positive"):
        MixSchedule([1, 1], [0.5, 0.0], 0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, make_hand):
    root = tmp_path_factory.mktemp("mix")
    for name, count in (("a", 6), ("b", 4)):
        samples = [make_hand(f"{name}{i}", i, source=name) for i in range(count)]
        write_shards(samples, root / name, name, per_shard=3)
    return root


def test_store_reads_limits_and_rescans(folders, tmp_path, make_hand):
    groups = [DataGroup(str(folders / "a")), DataGroup(str(folders / "b"))]
    store = SampleStore(groups)
    assert store.sizes == (6, 4) and len(store.samples()) == 10
    assert store.get(1, 0).key == "b0" and store.get(1, 0).source == "b"
    assert store.rescanned() is store
    assert SampleStore(groups, limit=2).sizes == (2, 2)
    with pytest.raises(HandError, match="no samples"):
        SampleStore([DataGroup(str(tmp_path))])
    grow = tmp_path / "grow"
    write_shards([make_hand("x0")], grow, "m")
    before = SampleStore([DataGroup(str(grow))])
    write_shards([make_hand("x1", 1)], grow, "a")  # sorts first, must still come last
    after = before.rescanned()
    assert [s.key for s in after.samples()] == ["x0", "x1"] and before.sizes == (1,)
    # A resumed run sees the old shards until the next rescan.
    assert SampleStore(before.groups, before.shards).sizes == (1,)


def test_a_limited_store_takes_an_equal_share_of_each_shard(tmp_path, make_hand, monkeypatch):
    hand = make_hand("x", size=(16, 16)).encode(quality=10)
    counts = {"a": 12, "b": 12, "c": 2}
    for name, count in counts.items():
        samples = [EncodedSample(f"{name}{i}", hand.jpeg, hand.label) for i in range(count)]
        write_shards(samples, tmp_path / "set", name)

    def keys(limit, place="set"):
        store = SampleStore([DataGroup(str(tmp_path / place))], limit=limit)
        for i, sample in enumerate(store.samples()):
            assert store.shard_of(0, i).name[0] == sample.key[0]
        return [sample.key for sample in store.samples()]

    # The short shard's rest comes from the others; a share is spread over its shard.
    assert keys(10) == ["a0", "a4", "a7", "a11", "b0", "b4", "b7", "b11", "c0", "c1"]
    assert Counter(key[0] for key in keys(16)) == {"a": 7, "b": 7, "c": 2}
    assert keys(2) == ["a0", "c0"] and keys(2) == keys(2)
    assert len(keys(26)) == len(keys(100)) == 26
    # One shard: spread over the whole of it.
    (tmp_path / "one").mkdir()
    (tmp_path / "set" / "a-000000.tar").rename(tmp_path / "one" / "a.tar")
    assert keys(3, "one") == ["a0", "a6", "a11"]
    # No more shards are read than samples are wanted.
    read = []
    monkeypatch.setattr(
        "wilor_yolo.reconstruct.mixing.read_shard",
        lambda path, strict: read.append(path.name) or read_shard(path, strict),
    )
    assert keys(1) == ["b0"] and read == ["b-000000.tar"]


def test_checked_names_bad_samples_and_their_shards(tmp_path, make_hand):
    good = make_hand("good").encode()
    bad = EncodedSample("bad", good.jpeg[:30], good.label)
    (shard,) = write_shards([bad, good], tmp_path)
    store = SampleStore([DataGroup(str(tmp_path))])
    with pytest.raises(HandError, match=f"{shard}: sample bad: the JPEG.*on_bad=skip"):
        list(store.checked(EncodedSample.decode, strict=True))
    with pytest.warns(UserWarning, match=f"{shard}: sample bad: the JPEG is damaged; skipped"):
        kept = list(store.checked(EncodedSample.decode, strict=False))
    assert [sample.key for sample in kept] == ["good"]


NETWORK = NetworkConfig(image_size=32, visible=1.0, patch_size=16, box_scale=1.5)


def _loader(store, **changes):
    options = {"batch_size": 4, "seed": 1, "workers": 1} | changes
    return BatchLoader(store, NETWORK, None, **options)


def _keys(loader, first, count):
    batches = loader.batches(first)
    keys = [next(batches).keys for _ in range(count)]
    batches.close()
    return keys


def test_loader_is_the_same_from_any_start_and_any_workers(folders):
    store = SampleStore([DataGroup(str(folders / "a")), DataGroup(str(folders / "b"))])
    whole = _keys(_loader(store), 0, 6)
    assert _keys(_loader(store, workers=0), 0, 6) == whole
    assert _keys(_loader(store, workers=2), 3, 3) == whole[3:]


def test_processes_share_each_steps_samples(folders):
    store = SampleStore([DataGroup(str(folders / "a"))])
    whole = _keys(_loader(store), 0, 3)
    parts = [_keys(_loader(store, batch_size=2, rank=r, world=2), 0, 3) for r in range(2)]
    for step in range(3):
        assert sorted(parts[0][step] + parts[1][step]) == sorted(whole[step])


def test_augmentation_can_end_before_the_run(folders):
    store = SampleStore([DataGroup(str(folders / "a"))])
    with_augmentation = (NETWORK, AugmentConfig(), 4, 1, 0, 0)
    batches = [
        list(islice(BatchLoader(store, *with_augmentation, plain_from=first).batches(0), 2))
        for first in (None, 1, 0)
    ]
    for step, same in ((0, True), (1, False)):
        assert torch.equal(batches[0][step].crops, batches[1][step].crops) == same
    assert torch.equal(batches[1][1].crops, batches[2][1].crops)


def test_loader_picks_up_new_shards_at_the_boundary(tmp_path, make_hand):
    write_shards([make_hand(f"x{i}", i) for i in range(4)], tmp_path, "m")
    store = SampleStore([DataGroup(str(tmp_path))])
    loader = _loader(store, rescan_steps=3, workers=0)
    batches = loader.batches(0)
    next(batches)
    write_shards([make_hand(f"y{i}", i) for i in range(4)], tmp_path, "n")
    early = [k for _ in range(2) for k in next(batches).keys]
    late = [k for _ in range(2) for k in next(batches).keys]
    assert not any("/y" in k for k in early) and any("/y" in k for k in late)
    assert loader.store_at(2).sizes == (4,) and loader.store_at(3).sizes == (8,)
    batches.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_resume_at_the_boundary_has_the_new_shards_too(tmp_path, make_hand, workers):
    write_shards([make_hand(f"x{i}", i) for i in range(4)], tmp_path, "m")
    store = SampleStore([DataGroup(str(tmp_path))])
    loader = _loader(store, rescan_steps=3, workers=workers)
    batches = loader.batches(0)
    next(batches)
    write_shards([make_hand(f"y{i}", i) for i in range(4)], tmp_path, "n")
    for _ in range(2):
        next(batches)
    saved = loader.store_at(3).shards  # by a checkpoint after the third step
    whole = [next(batches).keys for _ in range(3)]
    batches.close()
    resumed = _loader(SampleStore(store.groups, saved), rescan_steps=3, workers=workers)
    assert _keys(resumed, 3, 3) == whole and any("/y" in key for key in whole[0])


def test_damaged_sample_is_named(tmp_path, make_hand):
    good = make_hand("good").encode()
    write_shards([EncodedSample("bad", good.jpeg[:30], good.label)], tmp_path)
    loader = _loader(SampleStore([DataGroup(str(tmp_path))]), batch_size=1)
    with pytest.raises(HandError, match="sample bad"):
        next(loader.batches(0))


def test_shards_may_vanish(tmp_path, make_hand):
    first, second = write_shards([make_hand("x0"), make_hand("x1", 1)], tmp_path, per_shard=1)
    store = SampleStore([DataGroup(str(tmp_path))])
    before = store.hash()
    first.unlink()
    assert store.hash() == before and store.rescanned() is store
    with pytest.warns(UserWarning, match=r"hands-000000\.tar; the samples"):
        resumed = SampleStore(store.groups, store.shards)
    assert resumed.sizes == (1,) and resumed.hash() != before
    second.unlink()
    with pytest.warns(UserWarning), pytest.raises(HandError, match="no samples"):
        SampleStore(store.groups, store.shards)
