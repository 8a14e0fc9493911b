"""Which machines a test bed has, and the checks that each must pass."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from upfml.base.errors import UserError
from upfml.provision import clock, fiveg, kernel, machine, n3, tools
from upfml.provision.checkedhost import Check, CheckedHost, Runner, run_here
from upfml.provision.finding import Finding
from upfml.testbed.bed import bed_of
from upfml.testbed.host import NO_CONNECTION
from upfml.testbed.ssh.inventory import Machine, machines

if TYPE_CHECKING:
    from upfml.testbed.ssh.remote import RemoteHost

HERE: tuple[Check, ...] = (
    machine.idle,
    machine.root,
    machine.system,
    machine.clock_source,
    kernel.options,
    kernel.btf,
    kernel.abilities,
    tools.tools,
    tools.encoder,
    tools.elements,
    tools.player,
)
"""The checks for a single machine that plays all three roles of the test bed."""

_ONLY_GENERALISE = (
    "only `generalise` needs it: install it, or remove the application that uses it from generalise.scenarios"
)
_INSTALL = "install it there (docs/real-testbed.md)"
_PLAIN_PYTHON, _OUR_PYTHON = (3, 8), (3, 11)
_OTHER_PYTHON = "set testbed.machines.python to a later Python there"
_PYTHON_OF_SETUP = "clone the project there, run `make setup`, set testbed.machines.upf.python to its .venv/bin/python"
_UPF_OPTIONS = ("BPF", "BPF_SYSCALL", "BPF_JIT", "XDP_SOCKETS")
_UPF_ABILITIES = ("headers", "bcc", "jit", "test_run", "veth", "xdp_generic", "xdp_native", "af_xdp")
_UPF_DISPENSABLE = ("test_run", "veth", "xdp_generic", "xdp_native", "af_xdp")
"""On a real UPF N3 is no veth, and not every stage needs test runs or AF_XDP."""

Entering = Callable[[], "AbstractContextManager[RemoteHost]"]
"""Makes a machine of the test bed `ssh` ready for a run, in the same way as every stage."""


@contextmanager
def hosts(testbed: Mapping[str, Any]) -> Iterator[Sequence[CheckedHost]]:
    """The hosts of a test bed. Check them within the block. `testbed` is that section of the configuration.

    The test bed `namespaces` has one host: this machine.
    """
    if testbed["kind"] == "namespaces":
        yield [CheckedHost("this machine", run_here, HERE)]
        return
    from upfml.testbed.ssh.remote import RemoteHost
    from upfml.testbed.ssh.runner import MachineRunner  # asyncssh takes a third of a second to import

    with ExitStack() as undo:
        found = [CheckedHost("this machine", run_here, _controller())]
        for described in machines(testbed).values():
            run = MachineRunner(described)
            undo.callback(run.close)
            found.append(of_role(described, testbed, run, partial(RemoteHost, described)))
        # This runner only has to answer, because the test bed has its own connections.
        found.append(CheckedHost("user plane", run_here, (partial(fiveg.session, entering=partial(bed_of, testbed)),)))
        yield found


def of_role(described: Machine, testbed: Mapping[str, Any], run: Runner, entering: Entering) -> CheckedHost:
    """A machine of the test bed `ssh`, with the checks of its role; `testbed` is the configuration's section."""
    checks = {"ran": _ran, "upf": _upf, "dn": _dn}[described.role](described, testbed)
    within: dict[str, tuple[Check, ...]] = {
        "ran": (),
        "upf": (
            partial(kernel.abilities, wanted=_UPF_ABILITIES, dispensable=_UPF_DISPENSABLE),
            partial(n3.modes, described=described, wanted_mode=testbed["xdp_mode"]),
        ),
        "dn": (tools.player,),
    }
    return CheckedHost(
        f"{described.role} ({described.address})",
        run,
        (
            machine.idle,
            machine.root,
            partial(machine.system, cpus_wanted=machine.CPUS_OF_THE_PAPER),
            machine.memory,
            machine.clock_source,
            clock.synchronised,
            partial(machine.disk, folder=described.folder),
            *checks,
            partial(_run, entering=entering, checks=within[described.role]),
        ),
        described.python,
    )


def _controller() -> tuple[Check, ...]:
    """Checks of this machine, which encodes the video, compiles the URLLC sender and reads D-ITG's log."""
    return (
        machine.system,
        partial(tools.tools, wanted={"ffmpeg": "-version", "gcc": "--version"}),
        tools.encoder,
        partial(tools.tools, wanted={"ITGDec": "-h"}, remedy=_ONLY_GENERALISE, otherwise="warning"),
    )


def _ran(described: Machine, testbed: Mapping[str, Any]) -> tuple[Check, ...]:
    applications = {"curl": "--version", "ITGSend": "-h", "mosquitto_pub": "--version", "gst-launch-1.0": "--version"}
    return (
        machine.architecture,
        partial(machine.python, wanted=_PLAIN_PYTHON, remedy=_OTHER_PYTHON),
        partial(tools.tools, wanted={"nginx": "-v", "ip": "-V", "tc": "-V"}, remedy=_INSTALL),
        *_for_generalise(applications),
        fiveg.sctp,
        partial(fiveg.processes, products=fiveg.UERANSIM),
        partial(n3.device, described=described),
        partial(n3.apart_from_ssh, described=described, testbed=testbed),
    )


def _upf(described: Machine, testbed: Mapping[str, Any]) -> tuple[Check, ...]:
    return (
        kernel.version,
        partial(kernel.options, wanted=_UPF_OPTIONS),
        kernel.btf,
        partial(machine.python, wanted=_OUR_PYTHON, remedy=_PYTHON_OF_SETUP),
        partial(tools.tools, wanted={"mpstat": "-V", "pidstat": "-V", "gcc": "--version", "ip": "-V"}),
        fiveg.sctp,
        fiveg.gtp5g,
        partial(fiveg.processes, products=fiveg.CORES),
        fiveg.gtp_device,
        partial(n3.device, described=described),
        partial(n3.mtu, described=described),
        partial(n3.unoccupied, described=described),
    )


def _dn(described: Machine, testbed: Mapping[str, Any]) -> tuple[Check, ...]:
    return (
        machine.architecture,
        partial(machine.python, wanted=_PLAIN_PYTHON, remedy=_OTHER_PYTHON),
        partial(tools.tools, wanted={"gst-launch-1.0": "--version", "ip": "-V"}, remedy=_INSTALL),
        partial(tools.elements, wanted=tools.PLAYER_ELEMENTS),
        *_for_generalise({"nginx": "-v", "ITGRecv": "-h", "mosquitto": "-h"}),
        partial(n3.address_n6, described=described),
    )


def _for_generalise(applications: Mapping[str, str]) -> tuple[Check, ...]:
    return (
        partial(tools.elements, wanted=tools.FURTHER_ELEMENTS, otherwise="warning"),
        partial(tools.tools, wanted=applications, remedy=_ONLY_GENERALISE, otherwise="warning"),
    )


def _run(host: CheckedHost, entering: Entering, checks: Sequence[Check]) -> Iterator[Finding]:
    """Whether a run can start there, its clock, and the checks that need this project's code, which a run brings."""
    wanted = "brings the code and starts processes"
    try:
        with entering() as entered:
            yield host.finding("a run", wanted, wanted, True, "")
            yield from clock.near(host, entered.clock_offset())
            within = host.through(partial(_answered, entered))
            for check in checks:
                yield from check(within)
    except UserError as error:
        yield host.finding("a run", error.cause, wanted, False, error.remedy)


def _answered(entered: RemoteHost, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A Runner within a run. If the connection was lost, that is its answer."""
    try:
        return entered.run(argv)
    except UserError as error:
        return subprocess.CompletedProcess(list(argv), NO_CONNECTION, "", str(error))
