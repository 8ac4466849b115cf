"""How processes end, and how they are ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

__all__ = ["end_group", "exit_code_of"]

_LOOK_AGAIN_S = 0.0005
_LOOK_AGAIN_MAX_S = 0.05


def exit_code_of(process: subprocess.Popen[bytes], timeout: float | None) -> int | None:
    """The code that a process ends with, waited for so many seconds; None: it has not ended.

    Where that can be told without taking leave of it, the process is left behind as it is: its number, which is that of
    its group, is then nobody else's yet, and `end_group` cannot meet strangers.
    """
    if sys.platform == "win32" or not hasattr(os, "waitid"):
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
    if timeout is None:
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        deadline, pause = time.monotonic() + timeout, _LOOK_AGAIN_S
        while (ended := os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)) is None:
            if (left := deadline - time.monotonic()) <= 0:
                return None
            time.sleep(min(pause, left))
            pause = min(pause * 2, _LOOK_AGAIN_MAX_S)
    assert ended is not None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends what is left of a process that was started in a session of its own, and of its group; waits for it alone."""
    if sys.platform == "win32":
        process.kill()
    else:
        # None of it may be left, or what is left may have become somebody else's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
