"""Run a program that ends when its starter does, even when the starter is killed with -9.

A script of its own (`python tether.py PROGRAM ARGUMENT…`), so it imports the standard library only. Its standard
input is a pipe that the starter holds: the end of the pipe, or another parent, means that the starter has gone. Works
on Linux and macOS alike.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

CHECK_SECONDS = 0.25
STOP_SECONDS = 10.0
"""From SIGTERM to SIGKILL."""

_PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> int:
    """The program's exit status, negative when a signal ended it."""
    starter = os.getppid()
    # Descriptors that the starter passed on, such as a lock, stay open for as long as the program lives.
    program = subprocess.Popen(  # noqa: S603 (the command is the starter's own)
        command, stdin=subprocess.DEVNULL, close_fds=False, preexec_fn=_die_with_tether
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: program.terminate())
    while program.poll() is None and _starter_lives(starter):
        pass
    return program.returncode if program.returncode is not None else _stop(program)


def _starter_lives(starter: int) -> bool:
    ended, _, _ = select.select([sys.stdin], [], [], CHECK_SECONDS)
    return not ended and os.getppid() == starter


def _stop(program: "subprocess.Popen[bytes]") -> int:
    program.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        return program.wait(STOP_SECONDS)
    program.kill()
    return program.wait()


def _die_with_tether() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
