"""The provision check of three machines that are reached by SSH, fit and not."""

from __future__ import annotations

from typing import Any

from tests.testbed.machines import ADDRESSES, Testbed, testbed  # noqa: F401  # a fixture
from tests.testbed.test_ssh import section

from upfml import provision


def checked(described: dict[str, Any]) -> provision.Report:
    with provision.hosts(described) as hosts:
        return provision.check(hosts)


def test_machines_that_are_fit_pass_and_nothing_is_left_there(testbed: Testbed) -> None:  # noqa: F811
    report = checked(section(testbed))
    report.raise_if_failed()
    names = [f"{role} ({address})" for role, address in ADDRESSES.items()]
    assert list(dict.fromkeys(finding.host for finding in report.findings)) == ["this machine", *names, "user plane"]
    found = {(finding.host, finding.check): finding.found for finding in report.findings}
    assert found[names[1], "BCC"].endswith("compiled and loaded")
    assert found[names[2], "player (GStreamer from Python)"] == "starts"
    assert not any(testbed.folder(role).exists() for role in ADDRESSES)
