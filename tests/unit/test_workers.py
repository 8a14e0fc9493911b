"""The tests' workers: pytest-xdist keeps a group together only if it finds the group in a test's name."""

import pytest


def test_a_test_is_known_by_its_group(request: pytest.FixtureRequest) -> None:
    is_worker = hasattr(request.config, "workerinput")
    assert request.node.nodeid.endswith("@test_workers") == is_worker
