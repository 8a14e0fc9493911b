"""What a session knows of a further application: the programs that it starts, and afterwards the flows they made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import pandas as pd

from upfml.traffic.webserver import WebServer


@dataclass(frozen=True)
class Place:
    """Where and for how long an application runs. Its programs write below `workdir`, and nowhere else."""

    ue: str  # address
    dn: str  # address
    workdir: Path
    seed: int
    duration_s: float  # after which it may end, from when the last program of the session was started


@dataclass(frozen=True)
class Program:
    """A program that runs until it is asked to end (SIGTERM). `name` is unique in a session, and its log's."""

    name: str
    on: Literal["ran", "dn"]  # UE or data network
    command: list[str]
    ready: Callable[[], bool] = lambda: True  # whether it works; the next one is started then
    server: WebServer | None = None  # where it is one: ended only when it knows that its clients have gone


class Application(Protocol):
    """One kind of application, all its clients together."""

    def programs(self) -> list[Program]:
        """Prepare `Place.workdir`, and say what to start, in this order."""

    def flows(self) -> pd.DataFrame:
        """tables.FLOWS: what was made, after every program has ended, from what they themselves wrote down."""


def said(log: Path, word: str) -> Callable[[], bool]:
    """Whether a program's log has a word by now."""
    return lambda: word in log.read_text(errors="replace")
