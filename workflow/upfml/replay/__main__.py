"""A capture through the programs in the kernel and a model, from the command line.

python -m upfml.replay FILE.pcap[ng] --model MODEL -o OUT [--plain]
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from functools import partial
from pathlib import Path

from upfml.base.errors import UserError
from upfml.replay import captures


def _say(text: str, *, passing: bool = False) -> None:
    """A line on stderr; on a terminal, one in passing is overwritten by the next."""
    terminal = sys.stderr.isatty()
    end = "" if terminal and passing else "\n"
    print(f"\r\033[K{text}" if terminal else text, end=end, file=sys.stderr, flush=True)


_EPILOG = """Written into OUT: packets.parquet (a row a packet), windows.parquet (a row a window that was classified),
decisions.parquet (the same with class and times), summary.json (the capture, and what became of its packets).
"""


def main() -> int:
    """The command line; exit status 1 with one line when something is wrong, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m upfml.replay",
        description="Classify the flows of a capture by the programs that run in the kernel, without any network.",
        epilog=_EPILOG,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="pcap or pcapng, of Ethernet, Linux cooked or raw IP")
    parser.add_argument(
        "--model", type=Path, required=True, help="a converted model, e.g. results/convert/depth10-trees10"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the tables; made if it is not there")
    parser.add_argument("--plain", action="store_true", help="the capture is IP without GTP-U, as on N6 or at a host")
    arguments = parser.parse_args()
    try:
        if os.geteuid() != 0:
            raise UserError("BPF needs root", "run as root")
        summary = captures.through_model(
            arguments.file, arguments.model, arguments.out, plain=arguments.plain, tell=partial(_say, passing=True)
        )
    except UserError as error:
        return _failed(error.cause, error.remedy)
    except KeyboardInterrupt:
        _say("interrupted: nothing was written")
        return 128 + signal.SIGINT
    decided = ", ".join(f"{count:,} {name}" for name, count in summary["decisions"].items())
    _say(
        f"{arguments.out}: {summary['packets']:,} packets, {summary['flows']:,} flows, {summary['windows']:,} windows "
        f"({decided}), {summary['packets_per_s']:,} packets a second"
    )
    return 0


def _failed(cause: str, remedy: str) -> int:
    _say(" ".join(f"error: {cause} (remedy: {remedy})".split()))
    return 1


if __name__ == "__main__":
    sys.exit(main())
