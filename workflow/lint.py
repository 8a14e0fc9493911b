"""`snakemake --lint`, in which every complaint counts but one: that a rule names no conda environment or container.

All software is locked in envs/ and installed by `make setup`. A conda environment or a container would be a second
description, and a false one: BCC comes with Debian's own Python only, and programs go into the machine's kernel.
The catalogue of Snakemake workflows shows this complaint; config/README.md explains it there.

Status 1 when a complaint is left, or when Snakemake cannot read the workflow.
"""

import re
import subprocess
import sys
from pathlib import Path

ALLOWED = "Specify a conda environment or container for each rule."


def left_over(text: str) -> list[str]:
    """The complaints that count, each with the rule or file that it is about."""
    complaints = []
    for block in re.split(r"^(?=Lints for )", text, flags=re.MULTILINE)[1:]:
        about, *items = re.split(r"^    \* ", block, flags=re.MULTILINE)
        complaints += [f"{about}    * {item}" for item in items if not item.startswith(ALLOWED)]
    return complaints


def main() -> None:
    """Lint the workflow of the current folder."""
    snakemake = Path(sys.executable).with_name("snakemake")
    done = subprocess.run([snakemake, "--lint"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    complaints = left_over(done.stdout)
    if done.returncode and "Lints for " not in done.stdout:
        complaints = [done.stdout]  # not complaints, but an error
    if complaints:
        sys.exit("\n".join(complaints))


if __name__ == "__main__":
    main()
