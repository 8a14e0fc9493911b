"""The workflow as `make quick` runs it, in a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SNAKEMAKE = [str(Path(sys.executable).parent / "snakemake"), "--cores", "4", "--snakefile", str(ROOT / "Snakefile")]
CONFIG = [
    "--configfile",
    *(str(ROOT / name) for name in ("config.yaml", "presets/quick.yaml", "tests/e2e/testbed.yaml")),
]


def snakemake(folder: Path, *words: str, config: list[str] = CONFIG) -> subprocess.CompletedProcess[str]:
    command = [*SNAKEMAKE, "--directory", str(folder), *words, *config]
    return subprocess.run(command, capture_output=True, text=True, timeout=1800)


def namespaces() -> list[str]:
    return [path.name for path in Path("/run/netns").glob("upfe2e-*")]


def gone(seconds: float = 15) -> bool:
    return until(lambda: not namespaces(), seconds)
