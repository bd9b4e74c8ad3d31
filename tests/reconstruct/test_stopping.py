from __future__ import annotations

import os
import signal
import threading

import pytest

from wilor_yolo.reconstruct.stopping import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_asks_second_insists(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        os.kill(os.getpid(), number)
        assert stop.requested
        os.kill(os.getpid(), number)
        pytest.fail("not interrupted")
    assert signal.getsignal(number) is before


def test_other_threads_leave_signals_alone():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with StopRequest() as stop:
            seen.append((stop.requested, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
