"""All traffic of one capture or trial: every generator, from the first packet to the manifest."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd

from upfml.base import files, tables
from upfml.base.errors import UserError
from upfml.testbed.host import Host, Process, stop
from upfml.traffic import gstreamer, video
from upfml.traffic.application import Application, Place
from upfml.traffic.control import lines, plan
from upfml.traffic.download import Download
from upfml.traffic.gaming import Gaming
from upfml.traffic.ladder import INDEX
from upfml.traffic.telemetry import Telemetry
from upfml.traffic.voice import Voice
from upfml.traffic.webserver import WebServer

SERVER, SINK, SENDER = "nginx", "control-sink", "control-sender"

FURTHER: dict[str, Callable[[Mapping[str, Any], Place], Application]] = {
    "download": Download,
    "voice": Voice,
    "gaming": Gaming,
    "telemetry": Telemetry,
}
"""Applications by their names in the configuration's `applications`; event_control is in the plan (control.py)."""

_START_S = 15.0  # for a generator to say that it works; the slowest, the scan of GStreamer's plugins, takes 1 to 3 s
_LEAVE_S = 3.0  # for a player to end after SIGINT
_DRAIN_S = 2.0  # for a server to notice that its clients have gone, behind a full queue on N3


@dataclass
class _Player:
    visit: video.Visit
    process: Process
    asked_at_s: float | None = None  # when SIGINT was sent


class Session:
    """Context manager: traffic flows while inside it, as long as the caller calls `tend` about ten times a second.

    `traffic` is the configuration's `traffic`, with `applications` where there are further ones; `ran` and `dn` are the
    hosts of UE and data network, reached at `ue_address` and `dn_address`; `ladder` is the folder that ladder.encode
    made, `control` the program that control.build made. Logs and everything else that the generators write go to
    `workdir`. New clients arrive for `duration_s` seconds from the start. Enter and tend from the main thread (see
    Host.start).

    Raises UserError, on entry and from `tend`, when a generator does not start or has died.
    """

    def __init__(
        self,
        traffic: Mapping[str, Any],
        *,
        seed: int,
        ran: Host,
        dn: Host,
        ue_address: str,
        dn_address: str,
        ladder: Path,
        control: Path,
        workdir: Path,
        duration_s: float,
    ) -> None:
        self._ran, self._dn = ran, dn
        self._ue_address = ue_address
        self._ladder, self._control, self._workdir = ladder.resolve(), control.resolve(), workdir.resolve()
        self._plan = plan(traffic, seed, ue_address, dn_address)
        place = Place({"ran": ran, "dn": dn}, ue_address, dn_address, self._workdir, seed, duration_s)
        further = traffic.get("applications", {})
        self._applications = [make(further[name], place) for name, make in FURTHER.items() if name in further]
        self._server = video.server(ran, self._workdir / SERVER, self._ladder, ue_address)
        self._buffer_s = float(traffic["video"]["buffer_s"])
        self._coming = video.visits(traffic["video"], seed, duration_s)
        self._processes: dict[str, Process] = {}
        self._hosts: dict[str, Host] = {}
        self._players: list[_Player] = []
        self._started = 0
        self._began_s = self._began_epoch_s = 0.0
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Session:
        with contextlib.ExitStack() as undo:
            self._cleanup = undo
            self._start_generators()
            self._began_s, self._began_epoch_s = time.monotonic(), self._ran.epoch_s()
            undo.callback(self._dismiss_players)
            self._wait(lambda: not self.rungs().empty, "no player asked for a segment", while_waiting=self.tend)
            self._cleanup = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def tend(self) -> None:
        """Let players arrive and leave. Raises UserError when a generator has died, with the tail of its log."""
        now_s = time.monotonic() - self._began_s
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise self._died(name, process)
        for player in list(self._players):
            self._tend_player(player, now_s)
        while self._coming and self._coming[0].arrive_s <= now_s:
            visit = self._coming.pop(0)
            argv = video.player(self._dn, self._home, self._ue_address, visit.client, self._buffer_s)
            self._players.append(_Player(visit, self._dn.start(argv, log=self._fresh_log(visit.client))))
            self._started += 1

    def processes(self, beside: Host) -> dict[str, int]:
        """Name and pid of the generators on a host's machine that live as long as the session.

        Players, which come and go, are not among them.
        """
        return {
            name: process.pid
            for name, process in self._processes.items()
            if self._hosts[name].machine == beside.machine
        }

    def flows(self) -> pd.DataFrame:
        """tables.FLOWS, after the session: the true class of every flow, as the generators that made them know it.

        Control from the plan, video from its server's access log, further applications from their own logs.
        """
        streamed = video.flows(self._server.log(), self._ue_address)
        further = [application.flows() for application in self._applications]
        return pd.concat([self._plan[list(tables.FLOWS.columns)], streamed, *further], ignore_index=True)

    def rungs(self) -> pd.DataFrame:
        """tables.RUNGS, after the session: the segments that the players asked for."""
        return video.rungs(self._server.log(), files.read_json(self._ladder / INDEX), self._began_epoch_s)

    def report(self) -> dict[str, Any]:
        """After the session: the sender's own account, and how many clients started, and played a segment."""
        return {
            "urllc": files.read_json(self._account),
            "embb": {"clients_started": self._started, "clients_played": int(self.rungs()["client"].nunique())},
        }

    @property
    def _account(self) -> Path:
        return self._workdir / "sender.json"

    @property
    def _home(self) -> Path:
        return gstreamer.home(self._workdir)

    def _log(self, name: str) -> Path:
        return self._workdir / f"{name}.log"

    def _fresh_log(self, name: str) -> Path:
        """The log's path, without what an earlier session has left there."""
        self._log(name).unlink(missing_ok=True)
        return self._log(name)

    def _start_generators(self) -> None:
        """Server, sink, sender, applications, in this order; returns when each of them says that it works."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._ran.run(["rm", "-f", self._account])
        plan_file = self._workdir / "plan.txt"
        plan_file.write_text(lines(self._plan))
        programs = [each for application in self._applications for each in application.programs()]
        self._ran.send(self._workdir, self._control, self._ladder)
        self._dn.send(self._workdir, self._control)

        scan = self._dn.start(gstreamer.check(self._dn, self._home), log=self._fresh_log("player-check"))
        self._cleanup.callback(stop, scan)
        self._wait(lambda: scan.poll() is not None, "GStreamer did not finish the scan of its plugins")
        if scan.poll():
            raise self._died("player-check", scan)

        self._launch(SERVER, self._ran, self._server.prepare())
        self._cleanup.callback(self._drain, SERVER, self._server)
        self._wait_for(SERVER, self._server.listens)

        self._launch(SINK, self._dn, [self._control, "sink"], stdin=plan_file)
        self._wait_for(SINK, lambda: self._said(SINK, "ready"))
        self._launch(SENDER, self._ran, [self._control, "send", self._account], stdin=plan_file)
        self._cleanup.callback(self._bring_back, SENDER, [self._account])
        self._wait_for(SENDER, lambda: self._said(SENDER, "sending"))

        for program in programs:
            self._launch(program.name, self._ran if program.on == "ran" else self._dn, program.command)
            self._cleanup.callback(self._bring_back, program.name, program.writes)
            if program.server:
                self._cleanup.callback(self._drain, program.name, program.server)
            self._wait_for(program.name, program.ready)

    def _said(self, name: str, word: str) -> bool:
        return word in self._log(name).read_text().split()

    def _launch(self, name: str, host: Host, argv: Sequence[str | Path], stdin: Path | None = None) -> None:
        process = host.start(argv, log=self._fresh_log(name), stdin=stdin)
        self._processes[name], self._hosts[name] = process, host
        self._cleanup.callback(stop, process)

    def _bring_back(self, name: str, written: Sequence[Path]) -> None:
        """End a process, and fetch what it has written by then."""
        stop(self._processes[name])
        self._hosts[name].fetch(*written)

    def _wait_for(self, name: str, ready: Callable[[], bool]) -> None:
        def check() -> None:
            if self._processes[name].poll() is not None:
                raise self._died(name, self._processes[name])

        self._wait(ready, f"{name} did not start", while_waiting=check)

    def _wait(
        self, ready: Callable[[], bool], otherwise: str, while_waiting: Callable[[], None] = lambda: None
    ) -> None:
        deadline = time.monotonic() + _START_S
        while not ready():
            while_waiting()
            if time.monotonic() > deadline:
                raise UserError(
                    f"{otherwise} within {_START_S:.0f} s",
                    f"check that UE and data network reach each other, and read the logs in {self._workdir}",
                )
            time.sleep(0.05)

    def _tend_player(self, player: _Player, now_s: float) -> None:
        if (status := player.process.poll()) is not None:
            # The end of the video is a leave too; the exit status of a player that was interrupted says nothing.
            if status and player.asked_at_s is None:
                raise self._died(player.visit.client, player.process)
            self._players.remove(player)
        elif player.asked_at_s is None and player.visit.leave_s <= now_s:
            player.process.send_signal(signal.SIGINT)
            player.asked_at_s = now_s
        elif player.asked_at_s is not None and player.asked_at_s + _LEAVE_S <= now_s:
            player.process.send_signal(signal.SIGKILL)

    def _dismiss_players(self) -> None:
        for player in self._players:
            player.process.send_signal(signal.SIGINT)
        for player in self._players:
            stop(player.process, grace_s=_LEAVE_S, by=signal.SIGINT)
        self._players.clear()

    def _drain(self, name: str, server: WebServer) -> None:
        """Wait until a server has noticed that its clients have gone: it logs a request when the request ends."""
        deadline = time.monotonic() + _DRAIN_S
        while server.connections(self._processes[name].pid) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _died(self, name: str, process: Process) -> UserError:
        tail = "\n".join(self._log(name).read_text(errors="replace").splitlines()[-10:])
        return UserError(
            f"the traffic generator {name} ended with status {process.poll()}; its last words:\n{tail}",
            f"mend what they name and run again; the whole log is {self._log(name)}",
        )
