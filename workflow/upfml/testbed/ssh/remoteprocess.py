"""A process on a machine of the test bed `ssh`, as the keeper there tells of it."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upfml.base.errors import UserError

if TYPE_CHECKING:
    from upfml.testbed.ssh.remoterun import RemoteRun


class RemoteProcess:
    """A `Process` on a remote host. `pid` is what it is for the other processes of the run there."""

    pid = 0

    def __init__(self, run: RemoteRun, ident: int, log_file: Path | None) -> None:
        self._run = run
        self.ident = ident
        self._log_file = log_file
        self._status: int | None = None
        self._said: deque[str] = deque()  # lines
        self._begun: list[str] = []  # parts of the next one
        self._logged: list[str] = []
        self._unwritten: OSError | None = None

    def poll(self) -> int | None:
        """As Process.poll."""
        with self._run.news:
            self._raise_if_unwritten()
            if self._status is None:
                self._run.raise_if_lost()
            return self._status

    def wait(self, timeout_s: float | None = None) -> int:
        """As Process.wait."""
        with self._run.news:
            self._run.news.wait_for(lambda: self._status is not None or self._run.is_lost(), timeout_s)
            status = self.poll()
        if status is None:
            raise TimeoutError(f"process {self.pid} on {self._run.name} runs after {timeout_s} s")
        return status

    def send_signal(self, by: signal.Signals) -> None:
        """As Process.send_signal."""
        if self.poll() is None:
            self._run.request("signal", ident=self.ident, by=int(by))

    def tell(self, line: str) -> None:
        """As Process.tell."""
        if self.poll() is None:
            self._run.request("tell", ident=self.ident, line=line)

    def hear(self, patience_s: float) -> str | None:
        """As Process.hear. There will be no more lines when the process has ended."""
        with self._run.news:
            self._run.news.wait_for(
                lambda: self._said or self._status is not None or self._run.is_lost(), max(0.0, patience_s)
            )
            if self._said:
                return _readable(self._said.popleft())
            return None if self.poll() is None else ""

    def texts(self) -> tuple[str, str]:
        """What it has said, and what it has logged where it has no log file."""
        with self._run.news:
            return _readable("".join(self._said)), _readable("".join(self._logged))

    def on_event(self, event: str, fields: Mapping[str, Any]) -> None:
        """Take what the keeper tells of it. Called with the run's `news` held."""
        if event == "said":
            *lines, rest = fields["text"].split("\n")
            for line in lines:
                self._said.append("".join([*self._begun, line, "\n"]))
                self._begun = []
            self._begun.append(rest)
        elif event == "exit":
            self._status = fields["status"]
            if last := "".join(self._begun):
                self._said.append(last)
        elif self._log_file is None:
            self._logged.append(fields["text"])
        else:
            try:
                with self._log_file.open("ab") as file:
                    file.write(fields["text"].encode("utf-8", "surrogateescape"))
            except OSError as error:
                self._unwritten = error

    def on_end(self) -> None:
        """The run there is over: what had not ended has been killed."""
        if self._status is None:
            self._status = -signal.SIGKILL

    def _raise_if_unwritten(self) -> None:
        if self._unwritten is not None:
            raise UserError(
                f"cannot write {self._log_file}: {self._unwritten.strerror}", "free space or mend permissions"
            ) from self._unwritten


def _readable(text: str) -> str:
    """Bytes that were not UTF-8, which the keeper writes as lone surrogates, replaced as everywhere in this project."""
    return text.encode("utf-8", "surrogateescape").decode(errors="replace")
