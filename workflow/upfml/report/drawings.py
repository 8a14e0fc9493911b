"""How each figure is drawn: its rule's script, inputs and parameters. The archive keeps them to draw it again.

The workflow imports this while it is read, so it needs nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, TypedDict

DRAWINGS = "drawings.json"
"""In the archive: what workflow/redraw.smk draws, and from what."""


class Drawing(TypedDict):
    """A figure's rule, with all that its script gets. `files` are inputs without a name, `named` those with one."""

    rule: str
    script: str
    files: list[str]
    named: dict[str, str | list[str]]
    output: dict[str, str]
    params: dict[str, Any]


def drawing(rule: Any, wildcards: Any) -> Drawing:
    """Of one of Snakemake's rule objects, which has no wildcards of its own; functions among its inputs are called."""
    named = {name: _paths(_called(item, wildcards)) for name, item in rule.input.items()}
    return {
        "rule": rule.name,
        "script": PurePosixPath(rule.script).name,
        "files": [] if named else [str(item) for item in rule.input],
        "named": named,
        "output": {name: str(path) for name, path in rule.output.items()},
        "params": {name: _called(value, wildcards) for name, value in rule.params.items()},
    }


def tables_of(drawn: Iterable[Drawing]) -> list[str]:
    """Every file that some figure is drawn from."""
    found: dict[str, None] = {}
    for each in drawn:
        for item in [each["files"], *each["named"].values()]:
            found.update(dict.fromkeys([item] if isinstance(item, str) else item))
    return list(found)


def _called(item: Any, wildcards: Any) -> Any:
    return item(wildcards) if callable(item) else item


def _paths(item: Any) -> str | list[str]:
    return str(item) if isinstance(item, str) else [str(each) for each in item]
