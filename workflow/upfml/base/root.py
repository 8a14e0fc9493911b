"""What needs root says so before it begins."""

from __future__ import annotations

import os

from upfml.base.errors import UserError


def require() -> None:
    """Raise UserError unless this process runs as root."""
    if os.geteuid() != 0:
        raise UserError("BPF needs root", "run the same command as root, e.g. with sudo")
