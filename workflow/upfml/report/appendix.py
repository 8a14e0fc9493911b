"""The report's appendix in Markdown: every number of every trial, and the versions and settings behind the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import yaml

from upfml.base import pages, words


def of_metrics(metrics: pd.DataFrame) -> str:
    """Table `metrics` as Markdown: a row for each metric and arm, a column for each trial."""
    wide = metrics.pivot(index=["metric", "unit", "arm", "xdp_mode"], columns="trial", values="value")
    rows = [
        [*(part or words.UNKNOWN for part in name), *map(words.given, values)]
        for name, values in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    trials = [f"trial {trial}" if int(trial) else "offline" for trial in wide.columns]
    return f"# Every number of every trial\n\n{pages.table(['metric', 'unit', 'arm', 'XDP mode', *trials], rows)}\n"


def of_provenance(record: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """results/provenance.json and the configuration of the run as Markdown."""
    facts = [(name, value) for name, value in record.items() if not isinstance(value, dict | list)]
    facts.append(("xdp_modes", ", ".join(record["xdp_modes"])))
    packages = sorted(record["packages"].items())
    return "\n\n".join(
        [
            "# Provenance",
            "The code, the machine and the settings behind the numbers of this report.",
            pages.table(["what", "value"], facts),
            "## Python packages",
            pages.table(["package", "version"], packages),
            "## Configuration",
            f"```yaml\n{yaml.safe_dump(dict(config), sort_keys=False)}```",
            "",
        ]
    )
