"""What makes a number believable: the code, the configuration and the machine that it was measured with."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("emlearn", "matplotlib", "numpy", "pandas", "pyroute2", "scikit-learn", "scipy", "snakemake")
_ROOT = Path(__file__).resolve().parents[3]
COPIED = "code.json"
"""Beside workflow/, in a copy without its repository, as the test bed `ssh` puts on its machines."""


def now() -> str:
    """Wall-clock time, UTC, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def of(config: Mapping[str, Any], code: str, on: Mapping[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
    """Provenance of something made under `config` by code of that hash (sourcecode.py).

    It was made on this machine, or on one of which `on` has the facts (`machine`). `facts` says what only its maker
    knows.
    """
    return {
        **commit(),
        "code": code,
        "config_sha256": config_sha256(config),
        "seed": config.get("seed"),
        **(on or machine()),
        "clock": "CLOCK_MONOTONIC",
        **facts,
    }


def config_sha256(config: Mapping[str, Any]) -> str:
    """The hash of settings."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def commit() -> dict[str, Any]:
    """Which code this is: the commit, and whether there are changes to it; a copy of the code has that in COPIED."""
    if (_ROOT / COPIED).exists():
        return dict(json.loads((_ROOT / COPIED).read_text()))
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def machine() -> dict[str, Any]:
    """What this machine is."""
    return {
        "kernel": platform.release(),
        "kernel_build": platform.version(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "clock_source": _read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "bcc": _bcc_version(),
    }


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", "-C", _ROOT, *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _cpu_model() -> str | None:
    lines = (_read("/proc/cpuinfo") or "").splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), None)


def _bcc_version() -> str | None:
    try:
        import bcc
    except ImportError:
        return None
    return str(bcc.__version__)
