"""What all tests need: limits, signals, marks, and who may run beside whom."""

import resource
import signal
from pathlib import Path

import pytest

from tests.testbed.machines import machines, testbed  # noqa: F401  # fixtures: one set of machines for all tests

# A shell starts background jobs with SIGINT ignored, and what tests start would inherit that: no Ctrl-C could be tried.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Programs and maps of all tests in the kernel are open files of one process.
_, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_most, _most))

_TOGETHER = {"e2e": "workflow", "testbed": "machines", "test_workflow_ssh": "machines"}
"""Folder or file → group whose tests share namespaces, or a run of the workflow. They take longest, so they begin."""
_APART = ("test_rules",)
"""Files whose tests share nothing and take long, so that any worker may have any of them."""


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its folder; with `pytest -n`, groups of _TOGETHER and tests of a file stay together."""
    for item in items:
        folder, name = _folder(item), item.path.stem
        item.add_marker(folder)
        if name not in _APART:  # a file's tests share its fixtures
            item.add_marker(pytest.mark.xdist_group(_TOGETHER.get(name) or _TOGETHER.get(folder) or name))
    items.sort(key=lambda item: _folder(item) not in _TOGETHER)
