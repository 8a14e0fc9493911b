"""The one program that a run starts on a machine of the test bed `ssh`; everything else there is its child.

    unshare --pid --fork --mount-proc --kill-child PYTHON -u keeper.py FOLDER RUN HOLDER

It is init of a PID namespace of its own, so when it ends, however it ends, the kernel kills all that it started, with
their children. It ends when its standard input does (the connection broke, the controller was killed), when nothing
came for LIFETIME_S seconds, on a signal, or when told.

FOLDER: where runs may put files, made if missing. The keeper holds FOLDER/lock as long as it lives; HOLDER, written
there, says to others who that is. The run's own files are in FOLDER/run-RUN, which goes with it. Other folders of such
a name are leftovers of killed runs.

In: requests, one JSON object a line, with `do`:

    start       ident: the controller's number for it, argv, environment, stdin (a path or null), talks
    signal      ident, by: a signal's number
    tell        ident, line
    clock       ident
    afterwards  ident, argv: to be run at the end, whatever the end; after SIGKILL, by the next run that comes
    beat
    end

Out: events, one JSON object a line, with `event`:

    ready       folder: of the run
    refused     reason, remedy: there will be no run
    started     ident, pid
    failed      ident, reason, missing (whether it was the program that was not found)
    log         ident, text: stderr, and stdout of what does not talk
    said        ident, text: stdout of what talks; the controller makes lines of it
    exit        ident, status: as subprocess.returncode has it
    clock       ident, realtime_ns, monotonic_ns
    noted       ident: of `afterwards`

What processes write is relayed in order and byte by byte: bytes that are not UTF-8 are written as lone surrogates
(PEP 383). Standard input of what talks is a pipe unless a path is given. Complaints go to stderr.

It stands alone: Python 3.8, its standard library, and nothing of this package, which is not there yet when it starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

LIFETIME_S = 10
"""Without a request for so long, the controller is taken for dead. It sends a beat much more often."""
PIPE_PATIENCE_S = 0.5
"""How long after a process's end its output may come that is still in a pipe, or that its children write."""
AFTERWARDS_PATIENCE_S = 5
AFTERWARDS = "afterwards"
ELSEWHERE = "set testbed.machines.folder in config.yaml to one that a run can make, on a disk with room"
_CHUNK_BYTES = 1 << 16
_RUN = re.compile(r"run-[0-9a-f]{8}")


class Refused(Exception):
    """There can be no run here; `remedy` says what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


class _End(Exception):
    """It is time to end."""


def emit(event: str, **fields: Any) -> None:
    """Write an event. A slow connection blocks it, and with it what writes to the keeper, for LIFETIME_S at most."""
    data = json.dumps({"event": event, **fields}).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


def text(data: bytes) -> str:
    """Bytes as JSON can carry them, lossless."""
    return data.decode("utf-8", "surrogateescape")


def complain(message: str) -> None:
    """Say something that the user should know, if there is still somebody to hear it."""
    with contextlib.suppress(OSError):
        os.write(2, (message + "\n").encode("utf-8", "surrogateescape"))


class Child:
    """A process that was started for the controller."""

    def __init__(self, ident: int, process: subprocess.Popen[bytes], talks: bool) -> None:
        self.ident = ident
        self.process = process
        self.talks = talks
        self.outputs = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
        self.untold = b""  # what its standard input has not taken yet
        self.ended_at_s: float | None = None
        self.reported = False


class Keeper:
    """What runs on this machine for one run."""

    def __init__(self, run_folder: Path) -> None:
        self.folder = run_folder
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, Child] = {}  # by the controller's number
        self._unread = b""  # the beginning of a request
        woken, wake = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        self._woken = woken
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the wake-up is all that is wanted
        self._selector.register(0, selectors.EVENT_READ, self._listen)
        self._selector.register(woken, selectors.EVENT_READ, self._reap)

    def serve(self) -> NoReturn:
        """Do what is asked for until it is time to end: raises _End."""
        while True:
            waiting = [
                child.ended_at_s + PIPE_PATIENCE_S
                for child in self._children.values()
                if child.ended_at_s is not None and not child.reported
            ]
            timeout = max(0.0, min(waiting) - time.monotonic()) if waiting else None
            for key, _ in self._selector.select(timeout):
                if self._selector.get_map().get(key.fd) is key:  # it may have been closed meanwhile
                    key.data()
            for child in list(self._children.values()):
                self._report(child)

    def _listen(self) -> None:
        data = os.read(0, _CHUNK_BYTES)
        if not data:
            raise _End
        signal.alarm(LIFETIME_S)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            getattr(self, "do_" + request.pop("do"))(**request)

    def do_beat(self) -> None:
        """The controller lives."""

    def do_end(self) -> NoReturn:
        """The run is over."""
        raise _End

    def do_clock(self, ident: int) -> None:
        """Answer what the clocks here show."""
        emit("clock", ident=ident, realtime_ns=time.time_ns(), monotonic_ns=time.monotonic_ns())

    def do_afterwards(self, ident: int, argv: list[str]) -> None:
        """Keep a command for the end, on disk, in case this process is killed."""
        try:
            with (self.folder / AFTERWARDS).open("a") as kept:
                kept.write(json.dumps(argv) + "\n")
        except OSError as error:
            emit("failed", ident=ident, reason=str(error), missing=False)
        else:
            emit("noted", ident=ident)

    def do_start(
        self,
        ident: int,
        argv: list[str],
        environment: dict[str, str],
        stdin: str | None,
        talks: bool,
    ) -> None:
        """Start a process."""
        try:
            with Path(stdin or os.devnull).open("rb") as source:
                process = subprocess.Popen(
                    argv,
                    bufsize=0,
                    stdin=subprocess.PIPE if talks and stdin is None else source,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE if talks else subprocess.STDOUT,
                    env={**os.environ, **environment},
                    cwd=self.folder,
                )
        except (OSError, ValueError) as error:
            about = getattr(error, "filename", None) or argv[0]
            missing = isinstance(error, FileNotFoundError) and about == argv[0]
            reason = "not found" if missing else getattr(error, "strerror", None) or error
            emit("failed", ident=ident, reason=f"{about}: {reason}", missing=missing)
            return
        child = self._children[ident] = Child(ident, process, talks)
        emit("started", ident=ident, pid=process.pid)
        for pipe in child.outputs:
            self._selector.register(pipe, selectors.EVENT_READ, lambda pipe=pipe: self._relay(child, pipe))
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)

    def do_signal(self, ident: int, by: int) -> None:
        """Send a signal to a process, if it runs."""
        child = self._children.get(ident)
        if child is not None and child.ended_at_s is None:
            os.kill(child.process.pid, by)

    def do_tell(self, ident: int, line: str) -> None:
        """Write a line to a process's standard input, if it still reads."""
        child = self._children.get(ident)
        if child is not None and child.process.stdin is not None and not child.process.stdin.closed:
            child.untold += line.encode("utf-8", "surrogateescape") + b"\n"
            self._tell(child)

    def _tell(self, child: Child) -> None:
        """Write what the pipe takes; wait for room with the rest, so that one that does not read stops nobody else."""
        pipe = child.process.stdin
        assert pipe is not None
        with contextlib.suppress(KeyError):
            self._selector.unregister(pipe)
        try:
            child.untold = child.untold[os.write(pipe.fileno(), child.untold) :]
        except BlockingIOError:
            pass
        except OSError:  # it does not read any more
            pipe.close()
            return
        if child.untold:
            self._selector.register(pipe, selectors.EVENT_WRITE, lambda: self._tell(child))

    def _relay(self, child: Child, pipe: IO[bytes]) -> None:
        data = os.read(pipe.fileno(), _CHUNK_BYTES)
        if not data:
            self._selector.unregister(pipe)
            pipe.close()
            child.outputs.remove(pipe)
        else:
            said = child.talks and pipe is child.process.stdout
            emit("said" if said else "log", ident=child.ident, text=text(data))

    def _reap(self) -> None:
        """Wait for whatever has ended: children, and orphans, whose parent is this process as init."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._woken, _CHUNK_BYTES):
                pass
        by_pid = {child.process.pid: child for child in self._children.values() if child.ended_at_s is None}
        for pid, status in ended():
            child = by_pid.get(pid)
            if child is not None:
                child.process.returncode = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                child.ended_at_s = time.monotonic()

    def _report(self, child: Child) -> None:
        """Say that a process has ended, after its last output; a pipe that its children hold is not waited for long."""
        if child.ended_at_s is None:
            return
        if not child.reported and (not child.outputs or time.monotonic() >= child.ended_at_s + PIPE_PATIENCE_S):
            emit("exit", ident=child.ident, status=child.process.returncode)
            child.reported = True
            stdin = child.process.stdin
            if stdin is not None:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(stdin)
                stdin.close()
        if child.reported and not child.outputs:
            del self._children[child.ident]


def ended() -> Iterator[tuple[int, int]]:
    """Pid and wait status of every child that has ended and was not waited for."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            yield pid, status


def kill_all() -> None:
    """Kill every other process of this PID namespace and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def clear(run_folder: Path) -> None:
    """Run what a run wanted to be run after it, and remove its folder."""
    commands: list[str] = []
    with contextlib.suppress(OSError):
        commands = (run_folder / AFTERWARDS).read_text().splitlines()
    for line in commands:
        try:
            argv = json.loads(line)
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                timeout=AFTERWARDS_PATIENCE_S,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            complain(f"{line}: {error}")
        else:
            if done.returncode:
                complain(f"{' '.join(argv)}: status {done.returncode}: {text(done.stdout).strip()}")
    for _ in range(20):  # processes of a keeper that was killed this moment may still be writing
        shutil.rmtree(run_folder, ignore_errors=True)
        if not run_folder.exists():
            return
        time.sleep(0.1)
    complain(f"{run_folder} cannot be removed")


def prepare(folder: Path) -> None:
    """Make the folder for runs, or see that nobody but root decides what is in it.

    A keeper runs commands that it finds in leftovers, as root.
    """
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise Refused(f"cannot make {folder}: {error.strerror}", ELSEWHERE) from error
    owners = (os.geteuid(), int(os.environ.get("SUDO_UID", os.geteuid())))
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or found.st_mode & 0o022:
        raise Refused(f"{folder} is not a folder that only root and the user who logs in can write to", ELSEWHERE)


def lock(folder: Path, holder: str) -> IO[str]:
    """Hold the folder. Raises Refused, which names who holds it."""
    path = folder / "lock"
    while True:
        try:
            held = path.open("a+")
        except OSError as error:
            raise Refused(f"cannot write {path}: {error.strerror}", ELSEWHERE) from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            held.seek(0)
            raise Refused(
                f"another run is using it: {held.read().strip() or 'unknown'} ({path})",
                f"wait for that run to end; one that was killed ends there within {LIFETIME_S} s",
            ) from error
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(held.fileno()).st_ino == path.stat().st_ino:
                break
        held.close()  # the run that held it ended just now and took it away
    with contextlib.suppress(OSError):  # on a full disk the holder has no name
        held.truncate(0)
        held.write(holder)
        held.flush()
    return held


def _on_signal(number: int, frame: Any) -> NoReturn:
    raise _End


def main(folder: Path, run: str, holder: str) -> None:
    """Keep one run."""
    if os.getpid() != 1:
        # Killing all processes would mean those of the whole machine.
        emit(
            "refused",
            reason=f"the keeper is process {os.getpid()}, not the first of a PID namespace",
            remedy="testbed.machines.python has to be Python, or a script that ends in `exec` of it",
        )
        return
    os.umask(0o022)
    ends = (signal.SIGALRM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    held = None
    run_folder = folder / f"run-{run}"
    try:
        for number in ends:
            signal.signal(number, _on_signal)  # init gets only those signals that it has a handler for
        signal.alarm(LIFETIME_S)
        prepare(folder)
        held = lock(folder, holder)
        for leftover in folder.iterdir():
            if _RUN.fullmatch(leftover.name) and leftover.is_dir() and not leftover.is_symlink():
                signal.alarm(0)  # it takes what it takes
                clear(leftover)
        signal.alarm(LIFETIME_S)
        try:
            for made in (run_folder, run_folder / "code", run_folder / "files"):
                made.mkdir()
        except OSError as error:
            raise Refused(f"cannot make {run_folder}: {error.strerror}", ELSEWHERE) from error
        emit("ready", folder=str(run_folder))
        Keeper(run_folder).serve()
    except Refused as refused:
        emit("refused", reason=str(refused), remedy=refused.remedy)
    except (_End, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        for number in ends:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        if held is not None:
            kill_all()
            clear(run_folder)
            with contextlib.suppress(OSError):
                (folder / "lock").unlink()
                folder.rmdir()  # unless something else is in it


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
