"""What took time to compute, kept in a JSON file for the next process. Nobody is hurt when it is lost.

The workflow imports this while it is read, so it needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any]:
    """What was kept; nothing when there is no such file, or it is damaged."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        if isinstance(found, dict):
            return found
    return {}


def write(content: dict[str, Any], path: Path) -> None:
    """Keep it, whole or not at all. Nothing happens where nobody may write."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        partial.write_text(json.dumps(content))
        os.replace(partial, path)
