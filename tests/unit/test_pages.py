"""pages: Markdown as documents that need nothing else."""

import pandas as pd

from upfml.base import pages, tables

METRICS = pd.DataFrame(
    [
        ("kernel", 1, "accuracy", 99.5, "%", "native"),
        ("kernel", 2, "accuracy", 99.25, "%", "native"),
        ("sklearn", 0, "accuracy_random", 99.75, "%", ""),
    ],
    columns=list(tables.METRICS.columns),
)


def test_a_document_has_its_title_and_its_table() -> None:
    document = pages.document("# A < B\n\n| a | b |\n| --- | --- |\n| 1 | **2** |\n")
    assert "<title>A &lt; B</title>" in document
    assert "<td><strong>2</strong></td>" in document
    assert "http" not in document


def test_a_bar_stays_in_its_cell() -> None:
    assert "<td>a|b</td>" in pages.document(pages.table(["x"], [["a|b"]]))


def test_metrics_have_a_column_a_trial() -> None:
    lines = pages.of_metrics(METRICS).splitlines()
    assert "| metric | unit | arm | XDP mode | offline | trial 1 | trial 2 |" in lines
    assert "| accuracy | % | kernel | native | – | 99.5 | 99.25 |" in lines
    assert "| accuracy_random | % | sklearn | – | 99.75 | – | – |" in lines


def test_provenance_has_facts_packages_and_the_configuration() -> None:
    record = {"kernel": "6.18", "packages": {"numpy": "2"}, "runs": ["a"], "xdp_modes": ["native", "generic"]}
    page = pages.of_provenance(record, {"seed": 1})
    assert "| kernel | 6.18 |" in page
    assert "| xdp_modes | native, generic |" in page
    assert "| numpy | 2 |" in page
    assert "```yaml\nseed: 1\n```" in page
