from __future__ import annotations

import cv2
import pytest

pytest.importorskip("threadpoolctl")

import threadpoolctl

from wilor_yolo.synth.one_thread import one_thread


def blas_threads():
    return {p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"}


def state():
    return blas_threads(), cv2.getNumThreads(), cv2.useOptimized()


@pytest.fixture
def busy_caller():
    """A process that uses three threads and OpenCV's plain paths."""
    threads, fast_paths = cv2.getNumThreads(), cv2.useOptimized()
    cv2.setNumThreads(3)
    cv2.setUseOptimized(False)
    with threadpoolctl.threadpool_limits(3, user_api="blas"):
        yield
    cv2.setNumThreads(threads)
    cv2.setUseOptimized(fast_paths)


def test_settings_are_put_back_even_after_an_error(busy_caller):
    before = state()
    with pytest.raises(RuntimeError), one_thread():
        assert state() == ({1}, 1, True)
        raise RuntimeError
    assert state() == before == ({3}, 3, False)


def test_what_the_caller_set_does_not_reach_the_pictures(busy_caller, monkeypatch, tmp_path):
    pytest.importorskip("embreex")
    pytest.importorskip("numba")
    from wilor_yolo.synth import generate_clips, generate_crops, generate_scenes, light

    seen = []

    def stop(*arguments):
        seen.append(state())
        raise InterruptedError

    # One place of each engine, and what is kept for later pictures.
    monkeypatch.setattr(generate_crops, "sample_crop", stop)
    monkeypatch.setattr(generate_scenes, "render_scene", stop)
    monkeypatch.setattr(generate_clips, "render_clip", stop)
    monkeypatch.setattr(light, "decode", stop)
    light.panorama.cache_clear()
    for make in (
        lambda: generate_crops.generate_crops(tmp_path / "crops", 1, report=lambda line: None),
        lambda: generate_scenes.generate_scenes(tmp_path / "scenes", 1),
        lambda: generate_clips.generate_clips(tmp_path / "clips", 1, report=lambda line: None),
        lambda: light.panorama(light.panorama_names()[0]),
    ):
        with pytest.raises(InterruptedError):
            make()
    assert seen == [({1}, 1, True)] * 4
