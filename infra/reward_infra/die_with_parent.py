"""Become a program that the kernel kills when its parent ends, even by kill -9.

    python -I -S die_with_parent.py PARENT_PID PROGRAM ARGUMENT...

The kernel's setting (PR_SET_PDEATHSIG) is made by the child for itself and outlives exec. Doing it here and not
between fork and exec keeps Python code out of a forked copy of a process with many threads. The signal comes when the
parent's thread that started the child ends, so the supervisor starts all its parts from one thread.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent_pid: int, argv: list[str]) -> None:
    """Replace this process by `argv`; exit at once if the parent is gone already, 127 if there is no such program."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent_pid:  # it ended before the setting was made
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
