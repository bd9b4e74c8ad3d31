"""Spread tasks over processes of this machine, or over a cluster by Ray Data (extra `ray`).

Work that takes minutes a task and writes its own files: what comes back is small, order does not
matter, and a task that was cut off is done again by the next run.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from types import FrameType
from typing import Any, TypeVar

from .errors import HandError

__all__ = ["ENGINES", "spread"]

ENGINES = ("local", "ray")

Task = TypeVar("Task")
Result = TypeVar("Result")


def spread(
    make: Callable[[], Callable[[Task], Result]],
    tasks: Sequence[Task],
    workers: int,
    engine: str = "local",
) -> Iterator[Result]:
    """Do all tasks; results come as they are ready.

    Args:
        make: gives the function that does a task; called once in each worker, where it loads
            networks. Must be picklable: a function of a module, or `functools.partial` of one.
        tasks: picklable.
        workers: processes; with ``engine="ray"`` actors of the cluster.
        engine: "local", or "ray": the cluster of the environment's ``RAY_ADDRESS``, else one
            started on this machine. All machines must see the same files under the same paths.

    Raises:
        HandError: a task or `make` raised it, a worker died, or ray is not installed.
    """
    if engine not in ENGINES:
        raise HandError(f"engine={engine}: choose {' or '.join(ENGINES)}.")
    if not tasks:
        return
    if engine == "ray":
        yield from _by_ray(make, tasks, workers)
    elif workers == 1:
        yield from map(make(), tasks)
    else:
        yield from _by_processes(make, tasks, min(workers, len(tasks)))


_work: Callable[[Any], Any] | None = None


def _by_processes(
    make: Callable[[], Callable[[Any], Any]], tasks: Sequence[Any], workers: int
) -> Iterator[Any]:
    import multiprocessing

    # spawn: forking a process that has started threads (OpenCV, torch) may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(make,))
    try:
        futures = [pool.submit(_do, task) for task in tasks]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        raise HandError(
            "a worker process died (out of memory?); run the same command again to go on, "
            "with fewer workers=."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(make: Callable[[], Callable[[Any], Any]]) -> None:
    """First thing in a worker."""
    global _work
    _on_signals(signal.SIG_DFL)  # between tasks nothing needs to be cleaned away
    _one_thread()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _work = _made(make)


def _made(make: Callable[[], Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """What `make` gives; where it fails, a function that says why: raised now it ends the pool."""
    try:
        return make()
    except HandError as error:
        trouble = error

    def work(task: Any) -> Any:
        raise trouble

    return work


def _do(task: Any) -> Any:
    assert _work is not None  # set by _start
    _on_signals(_interrupt)
    try:
        return _work(task)
    except KeyboardInterrupt:
        os._exit(1)  # from here it would go to the parent, and the pool would begin the next task
    finally:
        _on_signals(signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The task cleans away what it began. More signals (a terminal, `timeout` and our parent may
    send one each) must not cut that short."""
    _on_signals(_ignore)
    raise KeyboardInterrupt


def _ignore(number: int, frame: FrameType | None) -> None:
    """Unlike `signal.SIG_IGN`, of which Python complains if the signal has come already."""


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _die_with_parent() -> None:
    """A parent that was killed cannot tell its workers; they would wait for ever."""
    from multiprocessing import connection, parent_process

    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _one_thread() -> None:
    """As many workers as cores, one thread each: more threads would starve each other."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


class _Actor:
    """A worker of Ray Data: batches of pickled tasks in, pickled results out."""

    def __init__(self, make: bytes) -> None:
        _one_thread()
        self._work = _made(pickle.loads(make))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        results = []
        for task in batch["task"]:
            try:
                results.append(pickle.dumps((True, self._work(pickle.loads(task)))))
            except HandError as error:  # Ray would wrap it in pages of its own
                results.append(pickle.dumps((False, str(error))))
        return {"result": results}


def _by_ray(
    make: Callable[[], Callable[[Any], Any]], tasks: Sequence[Any], workers: int
) -> Iterator[Any]:
    # Read when ray is imported: no usage reports.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its threads write to our stderr
    try:
        import ray
        import ray.data
    except ImportError:
        raise HandError('engine=ray needs ray: pip install "wilor-yolo[ray]"') from None
    started = not ray.is_initialized()
    if started:
        address = os.environ.get("RAY_ADDRESS")
        local: dict[str, Any] = {} if address else {"num_cpus": workers}
        ray.init(
            address=address,
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **local,
        )
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        rows = [{"task": pickle.dumps(task)} for task in tasks]
        data = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Actor,
            fn_constructor_args=(pickle.dumps(make),),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(rows))),
            num_cpus=1,
        )
        for row in data.iter_rows():
            good, value = pickle.loads(row["result"])
            if not good:
                raise HandError(value)
            yield value
    finally:
        if started:
            ray.shutdown()
