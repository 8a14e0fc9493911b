"""The numbers that the paper gives of its evaluation, and where it gives them.

Leveraging eBPF/XDP for Real-Time Machine Learning Traffic Classification in 5G User Plane Networks (Galvão, Rocha,
Gomes, de Almeida).
"""

from __future__ import annotations

from dataclasses import dataclass

CPUS = 4
"""vCPUs of each of the authors' machines (section 3.3)."""


@dataclass(frozen=True)
class Number:
    """A number of the paper: `source` says where it stands."""

    quantity: str
    arm: str
    unit: str
    value: float
    source: str


NUMBERS = (
    Number("accuracy", "sklearn", "%", 99.97, "section 4"),
    Number("accuracy", "kernel", "%", 99.60, "section 4"),
    Number("accuracy", "user", "%", 99.91, "abstract, section 4"),
    Number("accuracy, scikit-learn minus kernel", "kernel", "percentage points", 0.37, "section 4"),
    Number("accuracy, user minus kernel", "user", "percentage points", 0.31, "section 4"),
    Number("classification time", "kernel", "us", 0.9046, "section 4"),
    Number("classification time", "user", "us", 32.88, "section 4"),
    Number("classification time, user over kernel", "user", "ratio", 36.35, "abstract, sections 4, 6"),
    Number("CPU usr", "kernel", "% of the UPF's CPUs", 2.91, "figure 6a"),
    Number("CPU usr", "user", "% of the UPF's CPUs", 5.83, "figure 6a"),
    Number("CPU sys", "kernel", "% of the UPF's CPUs", 0.44, "figure 6b"),
    Number("CPU sys", "user", "% of the UPF's CPUs", 0.25, "figure 6b"),
    Number("CPU soft", "kernel", "% of the UPF's CPUs", 9.52, "figure 6c"),
    Number("CPU soft", "user", "% of the UPF's CPUs", 9.71, "figure 6c"),
    Number("CPU total", "kernel", "% of the UPF's CPUs", 12.87, "abstract, sections 4, 6"),
    Number("CPU total", "user", "% of the UPF's CPUs", 15.79, "abstract, sections 4, 6"),
    Number("CPU usr, lower edge of the bulk", "user", "% of the UPF's CPUs", 5.0, "section 4"),
    Number("CPU usr, upper edge of the bulk", "user", "% of the UPF's CPUs", 7.0, "section 4"),
    Number("context switches", "kernel", "1/s", 3452.09, "figure 7"),
    Number("context switches", "user", "1/s", 5736.07, "figure 7"),
    Number("context switches, largest outlier", "user", "1/s", 12000.0, "figure 7"),
)


def value(quantity: str, arm: str) -> float:
    """The paper's value. Raises KeyError where the paper gives none."""
    return {(number.quantity, number.arm): number.value for number in NUMBERS}[quantity, arm]
