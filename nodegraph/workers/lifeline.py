"""A worker ends with its server, also when a node holds Python's lock and no code of ours gets to run.

What needs no lock: the kernel's alarm clock, which every beat of the worker winds up again, and a signal from the kernel when
the server dies, whose handler is the C library's own `alarm`. Both end the process, which loses nothing but time.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import sys
import threading

LEAVING_SECONDS = 10
"""How long a worker may take to write what is in memory once its server is gone."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def hold_on(server: int) -> None:
    """Be told of the server's death by the kernel, where it can. Traces of crashes go to standard error."""
    faulthandler.enable(file=sys.stderr, all_threads=True)
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        # alarm(SIGUSR1) is alarm(10): ten seconds from then the process ends, whatever Python is doing
        libc.signal(signal.SIGUSR1, ctypes.cast(libc.alarm, ctypes.c_void_p))
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1)
    if os.getppid() != server:  # it died before we asked
        os._exit(1)


class Lifeline:
    """Wound up by every beat. A worker that stands still says where, shortly before its server would end it."""

    def __init__(self, heartbeat_seconds: float) -> None:
        self.heartbeat_seconds = heartbeat_seconds
        self._leaving = False

    def wind_up(self) -> None:
        """We are alive."""
        if self._leaving:
            return
        faulthandler.dump_traceback_later(0.8 * self.heartbeat_seconds, file=sys.stderr)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 2 * self.heartbeat_seconds + LEAVING_SECONDS)

    def leave_within(self, seconds: float) -> None:
        """We are on our way out, and it may take so long at most. From any thread."""
        self._leaving = True
        faulthandler.cancel_dump_traceback_later()
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, seconds)
        else:
            threading.Timer(seconds, os._exit, (1,)).start()
