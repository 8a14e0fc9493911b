"""A host of the test bed, and the processes that the experiment starts on it.

The one thing that traffic, capture and classification know of a test bed: where to start a command. Every process
dies with the one that started it (PR_SET_PDEATHSIG), so that a killed run leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it is gone."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass(frozen=True)
class Host:
    """A machine of the test bed; `namespace` is its network namespace, None for the machine itself."""

    role: str
    namespace: str | None = None

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command line that runs `argv` on this host.

        nsenter rather than `ip netns exec`, which remounts /sys and so hides bpffs.
        """
        words = [str(word) for word in argv]
        if self.namespace is None:
            return words
        return ["nsenter", f"--net=/run/netns/{self.namespace}", "--", *words]

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start `argv` with stderr appended to `log`, and stdout too unless it goes elsewhere.

        Call from the main thread only: the kernel ties the death signal to the thread that forked.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            return subprocess.Popen(
                self.command(argv),
                stdin=stdin,
                stdout=out if stdout is None else stdout,
                stderr=out,
                preexec_fn=die_with_parent,
            )


def stop(process: subprocess.Popen[bytes], *, grace_s: float = 3.0, by: signal.Signals = signal.SIGTERM) -> int:
    """Ask a process to end, insist after `grace_s` seconds, and return its exit status."""
    if process.poll() is None:
        process.send_signal(by)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()
