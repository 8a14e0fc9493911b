"""published: the paper's numbers."""

import pytest

from upfml.base import published


def test_published_numbers_fit_together() -> None:
    """The paper's totals, ratio and differences follow from its parts, so that none is mistyped here."""
    of = published.value
    for arm in ("kernel", "user"):
        assert sum(of(f"CPU {share}", arm) for share in ("usr", "sys", "soft")) == pytest.approx(of("CPU total", arm))
    times = [of("classification time", arm) for arm in ("user", "kernel")]
    assert times[0] / times[1] == pytest.approx(of("classification time, user over kernel", "user"), abs=0.005)
    lost = of("accuracy", "sklearn") - of("accuracy", "kernel")
    assert lost == pytest.approx(of("accuracy, scikit-learn minus kernel", "kernel"))
    gained = of("accuracy", "user") - of("accuracy", "kernel")
    assert gained == pytest.approx(of("accuracy, user minus kernel", "user"))
