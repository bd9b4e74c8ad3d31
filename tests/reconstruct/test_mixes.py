from __future__ import annotations

import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.reconstruct.mixes import load_mix, mix_names
from wilor_yolo.reconstruct.mixing import MixSchedule
from wilor_yolo.reconstruct.train_config import TrainConfig


def weights(name):
    return {g["path"]: g["weight"] for g in load_mix(name)}


def test_shipped_mixes():
    assert mix_names() == ["freihand", "hamer", "released"]
    for name in mix_names():
        assert sum(weights(name).values()) == pytest.approx(1)
    released, hamer = weights("released"), weights("hamer")
    assert len(released) == 14 and len(hamer) == 10 and set(hamer) < set(released)
    # The numbers of the two public configurations that are not 0.05.
    assert {k: v for k, v in released.items() if v != 0.05} == {
        "freihand": 0.2, "interhand26m": 0.1, "reinterhand": 0.1, "arctic": 0.1,
    }  # fmt: skip
    assert {k: v for k, v in hamer.items() if v != 0.05} == {
        "freihand": 0.25, "interhand26m": 0.25, "mtc": 0.1, "cocow": 0.1,
    }  # fmt: skip


def test_a_mix_trains(tmp_path):
    groups = load_mix("released", tmp_path)
    config = TrainConfig.from_dict({"data": groups})
    assert config.data[0].path == str(tmp_path / "freihand") and config.data[0].weight == 0.2
    schedule = MixSchedule([100] * 14, [g.weight for g in config.data], seed=0)
    drawn = [schedule.draw(i)[0] for i in range(1000)]
    assert [drawn.count(k) for k in (0, 1, 2)] == [200, 100, 50]


def test_own_files_and_folders(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("data:\n  - {path: a, weight: 2}\n")
    assert load_mix(str(own), "/d") == [{"path": "/d/a", "weight": 2.0}]
    assert load_mix("shards/train") is None
    for text in ("data: 3", "", "data:\n  - {path: a}"):
        own.write_text(text)
        with pytest.raises(HandError, match="is no mix"):
            load_mix(str(own))
    with pytest.raises(HandError, match=r"no mix .* one of freihand, hamer, released"):
        load_mix(str(tmp_path / "other.yaml"))
