"""The provision check on the machine that runs the tests, and on worsened views of it."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from upfml import provision
from upfml.bpf import headers
from upfml.provision.kernel import ABILITIES

PROBE = [sys.executable, "-m", "upfml.bpf.abilities"]


def verdicts(report: provision.Findings) -> dict[str, str]:
    return {finding.check: finding.verdict for finding in report.findings}


def probed_through(*wrapper: str) -> provision.Findings:
    """The check of this machine, its probe of the kernel started by `wrapper`."""

    def run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return provision.run_here([*wrapper, *argv] if list(argv) == PROBE else argv)

    return provision.check([provision.CheckedHost("here", run, provision.HERE)])


def test_this_machine_is_fit() -> None:
    devices = set(Path("/sys/class/net").iterdir())
    with provision.hosts({"kind": "namespaces"}) as hosts:
        report = provision.check(hosts)
    report.raise_if_failed()
    found = {finding.check: finding.found for finding in report.findings}
    assert found["BCC"].endswith("compiled and loaded")
    assert found["native XDP on veth"] == "attached to veth"
    assert set(Path("/sys/class/net").iterdir()) == devices


def test_tool_that_is_not_on_the_path_fails() -> None:
    def run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return provision.run_here(["env", "PATH=/nowhere", *argv] if argv[0] == "mpstat" else argv)

    report = provision.check([provision.CheckedHost("here", run, provision.HERE)])
    assert [name for name, verdict in verdicts(report).items() if verdict == "failed"] == ["mpstat"]


def test_without_privileges_the_kernel_lets_nothing_in() -> None:
    report = probed_through("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    failed = {name for name, verdict in verdicts(report).items() if verdict == "failed"}
    assert failed == {name for name, _, _ in ABILITIES.values()} - {
        "kernel headers for BCC",
        "native XDP on veth",
    }
    assert verdicts(report)["native XDP on veth"] == "warning"
    found = {finding.check: finding.found for finding in report.findings}
    assert "Operation not permitted" in found["veth in a network namespace"]
    assert found["native XDP on veth"] == "not tried without bcc and veth"


def test_without_headers_bcc_is_not_tried() -> None:
    hidden = [path for path in (headers.MERGED.parent, Path("/lib/modules")) if path.is_dir()]
    hide = " && ".join(f"mount -t tmpfs none {path}" for path in hidden)
    report = probed_through("unshare", "--mount", "sh", "-c", f'{hide} && exec "$@"', "sh")
    by_check = {finding.check: finding for finding in report.findings}
    assert by_check["kernel headers for BCC"].verdict == "failed"
    assert "make setup" in by_check["kernel headers for BCC"].remedy
    assert by_check["BCC"].found == "not tried without headers"
    assert by_check["veth in a network namespace"].verdict == "ok"
