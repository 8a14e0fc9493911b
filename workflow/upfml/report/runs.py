"""The runs that a report shows: by which commits they were made, and whether code or settings have changed since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

_DIGITS = 12


def described(records: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Each run by its folder: its commit, whether there were changes to it, and what it is older than.

    `records` are the runs' provenance.json by path. `now` has the hashes `code` and `config_sha256` that a run would
    have today, by a pattern that its path fits.
    """
    found = {}
    for path, record in records.items():
        (today,) = [hashes for pattern, hashes in now.items() if fnmatch(path, pattern)]
        found[str(PurePosixPath(path).parent)] = {
            "git_commit": record["git_commit"],
            "git_changes": record["git_changes"],
            "older_than": [what for what, key in _HASHES.items() if record.get(key) != today[key]],
        }
    return found


_HASHES = {"code": "code", "configuration": "config_sha256"}


def commits(runs: Mapping[str, Mapping[str, Any]], head: str | None) -> str:
    """The commits of `described` runs in words; `head` is the clone's, and named when a run has another."""
    counted = Counter(
        f"{_short(run['git_commit'])}{' with uncommitted changes' if run['git_changes'] else ''}"
        for run in runs.values()
    )
    if len(counted) == 1:
        text = f"commit {next(iter(counted))}"
    else:
        each = (f"{name} ({count} run{'s' if count > 1 else ''})" for name, count in counted.items())
        text = f"several commits: {'; '.join(each)}"
    if any(run["git_commit"] != head for run in runs.values()):
        text += f" (HEAD is {_short(head)})"
    return text


def older(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The `described` runs that are older than their code or configuration, each with what has changed."""
    return [f"{name} ({' and '.join(run['older_than'])})" for name, run in runs.items() if run["older_than"]]


def _short(commit: str | None) -> str:
    return (commit or "unknown")[:_DIGITS]
