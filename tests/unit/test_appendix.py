"""appendix: every number, and what the run was made with, as tables."""

import pandas as pd

from upfml.base import tables
from upfml.report import appendix

METRICS = pd.DataFrame(
    [
        ("kernel", 1, "accuracy", 99.5, "%", "native"),
        ("kernel", 2, "accuracy", 99.25, "%", "native"),
        ("sklearn", 0, "accuracy_random", 99.75, "%", ""),
    ],
    columns=list(tables.METRICS.columns),
)


def test_metrics_have_a_column_a_trial() -> None:
    lines = appendix.of_metrics(METRICS).splitlines()
    assert "| metric | unit | arm | XDP mode | offline | trial 1 | trial 2 |" in lines
    assert "| accuracy | % | kernel | native | – | 99.5 | 99.25 |" in lines
    assert "| accuracy_random | % | sklearn | – | 99.75 | – | – |" in lines


def test_provenance_has_facts_packages_and_the_configuration() -> None:
    record = {"kernel": "6.18", "packages": {"numpy": "2"}, "runs": ["a"], "xdp_modes": ["native", "generic"]}
    page = appendix.of_provenance(record, {"seed": 1})
    assert "| kernel | 6.18 |" in page
    assert "| xdp_modes | native, generic |" in page
    assert "| numpy | 2 |" in page
    assert "```yaml\nseed: 1\n```" in page
