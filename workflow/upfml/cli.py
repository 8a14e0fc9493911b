"""The program `upfml`: one subcommand for each thing that a user does outside a run of the workflow.

A subcommand imports what it needs when it runs, so that help and completion come at once.
"""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import upfml
from upfml.base.errors import UserError


class _Commands(TyperGroup):
    """Ends with one line and status 1 on a UserError, and with status 130 on Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            _say(" ".join(f"error: {error.cause} (remedy: {error.remedy})".split()))
            ctx.exit(1)
        except KeyboardInterrupt:
            _say("interrupted: nothing was written")
            ctx.exit(128 + signal.SIGINT)


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _example(command: str) -> str:
    return f"\b\nExample:\n  {command}"  # \b: Click is to leave the lines as they are


def _say(text: str, *, passing: bool = False) -> None:
    """A line on stderr; on a terminal, one in passing is overwritten by the next."""
    terminal = sys.stderr.isatty()
    end = "" if terminal and passing else "\n"
    print(f"\r\033[K{text}" if terminal else text, end=end, file=sys.stderr, flush=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"upfml {upfml.__version__}")
        raise typer.Exit


@app.callback(epilog=_example("upfml replay capture.pcapng --model results/convert/depth10-trees10 --out out"))
def upfml_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Machine-learning traffic classification in the kernel of a 5G user plane.

    The experiment itself is run by `make all` or `snakemake`. The commands below do the rest.
    """


@app.command(epilog=_example("upfml replay capture.pcapng --model results/convert/depth10-trees10 --out out"))
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A pcap or pcapng: Ethernet, Linux cooked or raw IP.")],
    model: Annotated[
        Path, typer.Option(metavar="FOLDER", help="A converted model, such as results/convert/depth10-trees10.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the tables go; made if it is not there.")
    ],
    plain: Annotated[
        bool, typer.Option("--plain", help="The capture is IP without GTP-U, as on N6 or at a host.")
    ] = False,
) -> None:
    """Classify the flows of a capture, as on N3.

    The programs that run in the kernel get each packet at its own time. It needs root, but no network.

    It writes packets.parquet (a row a packet), windows.parquet (a row a classified window), decisions.parquet (the same
    with class and times) and summary.json (the capture, and what became of its packets).
    """
    from upfml.base import root
    from upfml.replay import captures

    root.require()
    summary = captures.through_model(file, model, out, plain=plain, tell=partial(_say, passing=True))
    decided = ", ".join(f"{count:,} {name}" for name, count in summary["decisions"].items())
    _say(
        f"{out}: {summary['packets']:,} packets, {summary['flows']:,} flows, {summary['windows']:,} windows "
        f"({decided}), {summary['packets_per_s']:,} packets a second"
    )


@app.command(epilog=_example("upfml fuzz --packets 100000 --corpus captures/"))
def fuzz(
    packets: Annotated[int, typer.Option(min=1, help="How many packets.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="The seed of the mutations.")] = 1,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="A capture, or a folder of captures, to start from. May be given again."),
    ] = None,
) -> None:
    """Compare the parser in the kernel with a plain one.

    Mutated packets go through both; the plain one is written in Python. It needs root.

    Each packet that the two see differently is printed, and the exit status is then 1.
    """
    from upfml.checks.fuzz import run
    from upfml.checks.fuzz.corpus import built_in

    result = run.fuzz(packets, seed, [*built_in(), *run.captured(corpus or [])], partial(_say, passing=True))
    print(run.summary(result))
    if result.differences:
        raise typer.Exit(1)


def _suites() -> list[str]:
    from upfml.checks.kernels import images

    return list(images.SUITES)


def _known(kernels: list[str] | None) -> list[str]:
    unknown = sorted(set(kernels or []) - set(_suites()))
    if unknown:
        raise typer.BadParameter(f"no such kernel: {', '.join(unknown)}; there are {', '.join(_suites())}")
    return kernels or _suites()


@app.command(epilog=_example("upfml kernels 6.1 6.12"))
def kernels(
    kernels: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KERNEL]...", callback=_known, autocompletion=_suites, help="Such as 6.1. None given: every one."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where the findings go.")] = Path(
        "results/kernels.json"
    ),
    short: Annotated[
        bool, typer.Option("--short", help="Only ring buffers and the LRU flow table, as in `make test`.")
    ] = False,
) -> None:
    """Try every program in other kernels.

    Debian's kernels boot in QEMU, load each program and decide on the same packets as the running kernel. It needs root
    and takes some minutes. The exit status is 1 when a kernel fails.
    """
    from upfml.base import files
    from upfml.checks.kernels import judge, matrix

    found = matrix.matrix(kernels or [], short=short, tell=_say)
    out.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(found, out)
    print(judge.table(found))
    if any(kernel["problems"] for kernel in found["kernels"].values()):
        raise typer.Exit(1)
