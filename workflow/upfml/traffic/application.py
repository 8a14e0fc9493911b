"""What a session knows of a further application: the programs that it starts, and afterwards the flows they made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import pandas as pd

from upfml.testbed.host import Host
from upfml.traffic.webserver import WebServer


@dataclass(frozen=True)
class Place:
    """Where and for how long an application runs. Its programs write below `workdir`, and nowhere else.

    What `Application.programs` puts there is on both hosts when a program starts.
    """

    hosts: Mapping[Literal["ran", "dn"], Host]  # UE and data network
    ue: str  # address
    dn: str  # address
    workdir: Path
    seed: int
    duration_s: float  # after which it may end, from when the last program of the session was started


@dataclass(frozen=True)
class HostProgram:
    """A program that runs until it is asked to end (SIGTERM). `name` is unique in a session, and its log's."""

    name: str
    on: Literal["ran", "dn"]  # UE or data network
    command: Sequence[str | Path]  # a Path is a file below `Place.workdir`
    ready: Callable[[], bool] = lambda: True  # whether it works; the next one is started then
    server: WebServer | None = None  # where it is one: ended only when it knows that its clients have gone
    writes: Sequence[Path] = ()  # files that `Application.flows` reads


class Application(Protocol):
    """One kind of application, all its clients together."""

    def programs(self) -> list[HostProgram]:
        """Prepare `Place.workdir`, and say what to start, in this order."""

    def flows(self) -> pd.DataFrame:
        """tables.FLOWS: what was made, after every program has ended, from what they themselves wrote down."""


def said(log: Path, word: str) -> Callable[[], bool]:
    """Whether a program's log has a word by now."""
    return lambda: word in log.read_text(errors="replace")
