"""Which machines a test bed has, and what each has to be fit for."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from upfml.errors import UserError
from upfml.provision import kernel, machine, tools
from upfml.provision.finding import Finding
from upfml.provision.host import Check, Host, Runner, run_here
from upfml.testbed.inventory import Machine, machines

if TYPE_CHECKING:
    from upfml.testbed.remote import RemoteHost

HERE: tuple[Check, ...] = (
    machine.idle,
    machine.root,
    machine.system,
    machine.clock_source,
    kernel.options,
    kernel.btf,
    kernel.trials,
    tools.tools,
    tools.encoder,
    tools.elements,
    tools.player,
)
"""All that one machine has to pass which is all three of the test bed."""

_MACHINE: tuple[Check, ...] = (machine.idle, machine.root, machine.system, machine.clock_source)
_PLAYED = ("playbin3", "videoconvert", "souphttpsrc", "dashdemux2", "qtdemux", "deinterlace", "h264parse", "avdec_h264")
_CALLED = ("opusenc", "rtpopuspay", "udpsink")
_ONLY_GENERALISE = (
    "none needed but for `generalise`; install it, or take the application that wants it out of generalise.scenarios"
)
_UPF_OPTIONS = ("BPF", "BPF_SYSCALL", "BPF_JIT", "XDP_SOCKETS")
_UPF_TRIALS = ("headers", "bcc", "jit", "test_run", "veth", "xdp_generic", "xdp_native", "af_xdp")
_UPF_DISPENSABLE = ("test_run", "veth", "xdp_generic", "xdp_native", "af_xdp")
"""N3 there is no veth, and not every stage wants test runs or AF_XDP."""

Entering = Callable[[], "AbstractContextManager[RemoteHost]"]
"""Makes a machine of the test bed `ssh` ready for a run, as every stage does."""


@contextmanager
def hosts(testbed: Mapping[str, Any]) -> Iterator[Sequence[Host]]:
    """The hosts of a test bed (that section of the configuration), to be checked within the block.

    Those of `namespaces` are this one machine.
    """
    if testbed["kind"] == "namespaces":
        yield [Host("this machine", run_here, HERE)]
        return
    from upfml.testbed.connection import MachineRunner  # asyncssh takes a third of a second to import
    from upfml.testbed.remote import RemoteHost

    with ExitStack() as undo:
        found = [Host("this machine", run_here, _controller())]
        for described in machines(testbed).values():
            run = MachineRunner(described)
            undo.callback(run.close)
            entering = functools.partial(RemoteHost, described)
            found.append(of_role(described, run, entering))
        yield found


def of_role(described: Machine, run: Runner, entering: Entering) -> Host:
    """A machine of the test bed `ssh`, with the checks of its role."""
    checks = {"ran": _ran, "upf": _upf, "dn": _dn}[described.role]()
    in_a_run = {"ran": (), "upf": (_upf_trials,), "dn": (tools.player,)}[described.role]
    return Host(
        f"{described.role} ({described.address})",
        run,
        (*_MACHINE, *checks, functools.partial(_run, entering=entering, checks=in_a_run)),
        described.python,
    )


def _controller() -> tuple[Check, ...]:
    """What this machine does: it encodes the video, compiles the URLLC sender, reads the log of D-ITG."""
    return (
        machine.system,
        functools.partial(tools.tools, wanted={"ffmpeg": "-version", "gcc": "--version"}),
        tools.encoder,
        functools.partial(tools.tools, wanted={"ITGDec": "-h"}, remedy=_ONLY_GENERALISE, otherwise="warning"),
    )


def _ran() -> tuple[Check, ...]:
    wanted = {"nginx": "-v", "ip": "-V", "tc": "-V"}
    applications = {"curl": "--version", "ITGSend": "-h", "mosquitto_pub": "--version", "gst-launch-1.0": "--version"}
    return (functools.partial(tools.tools, wanted=wanted), *_for_generalise(applications))


def _upf() -> tuple[Check, ...]:
    wanted = {"mpstat": "-V", "pidstat": "-V", "gcc": "--version", "ip": "-V"}
    return (
        functools.partial(kernel.options, wanted=_UPF_OPTIONS),
        kernel.btf,
        functools.partial(tools.tools, wanted=wanted),
    )


def _dn() -> tuple[Check, ...]:
    played = {element: tools.ELEMENTS[element] for element in _PLAYED}
    applications = {"nginx": "-v", "ITGRecv": "-h", "mosquitto": "-h"}
    return (
        functools.partial(tools.tools, wanted={"gst-launch-1.0": "--version"}),
        functools.partial(tools.elements, wanted=played),
        *_for_generalise(applications),
    )


def _for_generalise(applications: Mapping[str, str]) -> tuple[Check, ...]:
    called = {element: tools.ELEMENTS[element] for element in _CALLED}
    return (
        functools.partial(tools.elements, wanted=called, otherwise="warning"),
        functools.partial(tools.tools, wanted=applications, remedy=_ONLY_GENERALISE, otherwise="warning"),
    )


_upf_trials: Check = functools.partial(kernel.trials, wanted=_UPF_TRIALS, dispensable=_UPF_DISPENSABLE)


def _run(host: Host, entering: Entering, checks: Sequence[Check]) -> Iterator[Finding]:
    """Whether a run can start there; and what needs this project's code, which a run brings."""
    wanted = "brings the code and starts processes"
    try:
        with entering() as entered:
            yield host.finding("a run", wanted, wanted, True, "")
            within = host.through(functools.partial(_answered, entered))
            for check in checks:
                yield from check(within)
    except UserError as error:
        yield host.finding("a run", error.cause, wanted, False, error.remedy)


def _answered(entered: RemoteHost, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A Runner within a run: a machine that is lost is another answer."""
    try:
        return entered.run(argv)
    except UserError as error:
        return subprocess.CompletedProcess(list(argv), 255, "", str(error))
