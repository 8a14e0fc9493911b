"""What every Snakemake script has in common: where its words go, and how it ends when the user can mend something."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from typing import Any

from upfml.base.errors import UserError


@contextlib.contextmanager
def rule(snakemake: Any) -> Iterator[Any]:
    """Log to the terminal and to the rule's log file; end with one message on a UserError (1) and on Ctrl-C (130)."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        handlers=[logging.StreamHandler(), logging.FileHandler(snakemake.log[0], mode="w")],
    )
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # tells each step of making a font for a PDF
    try:
        yield snakemake
    except UserError as error:
        logging.error("error: %s", error)
        sys.exit(1)
    except KeyboardInterrupt:
        logging.error("interrupted: what this rule had started has been ended; run the same command to go on")
        sys.exit(128 + signal.SIGINT)
