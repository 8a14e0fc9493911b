"""A finished run in one zip: results, figures, provenance, configuration, and the code that draws the figures again.

The zip is a Research Object Crate (RO-Crate 1.1, https://w3id.org/ro/crate/1.1). Its ro-crate-metadata.json lists every
file with its meaning, format, SHA-256 and the rule that made it. It describes the run as a CreateAction.

To save space, the zip leaves out what no figure needs: the raw readings of mpstat and pidstat (samples.parquet has them
as a table), the encoded video, logs, compiled models, and the live trace of the test of exactness.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from collections.abc import Mapping
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from upfml.base import xdpmode
from upfml.base.errors import UserError
from upfml.report.drawings import DRAWINGS, Drawing
from upfml.report.runs import commits, older

_CODE = (
    "CITATION.cff",
    "LICENSE",
    "Makefile",
    "README.md",
    "Snakefile",
    "bpf",
    "envs",
    "presets",
    "profiles",
    "pyproject.toml",
    "workflow",
)

_KINDS = (
    ("figures/*", "figure of the report"),
    ("results/report.html", "the report, one file for any browser"),
    ("results/first_page.rst", "the report's first page: what was asked, what was found, how sure"),
    ("results/paper_vs_here.*", "every number of the paper beside ours"),
    ("results/comparison.*", "the arms against each other: differences, intervals, effect sizes"),
    ("results/accuracy_causes.*", "what each cause costs in accuracy"),
    ("results/generalise.*", "the forest on traffic that it was not trained on"),
    ("results/metrics.*", "one number for each arm, trial and metric"),
    ("results/exactness.json", "kernel, user space and scikit-learn against the reference"),
    ("results/provenance.*", "code, configuration and machine of the run"),
    ("results/benchmarks.html", "what each rule took"),
    ("results/provision.*", "the check of the machine"),
    ("results/timer.json", "what a reading of the clock costs"),
    ("results/testbed.json", "the test of the test bed"),
    ("*/packets.parquet", "packets on N3: time, TEID, QFI, 5-tuple, length, IAT, TCP fields"),
    ("*/flows.parquet", "flows and their true classes, from their generators"),
    ("*/rungs.parquet", "rungs that video players chose"),
    ("*/decisions.parquet", "classifications, with the time of each step"),
    ("*/turns.parquet", "turns of the arms on N3: packets, losses, exact accounts of CPU, noise"),
    ("*/samples.parquet", "CPU use and context switches of every second"),
    ("*/loss.json", "events that reached user space, and that did not"),
    ("*/run.json", "counters, idle check, XDP mode, lateness of generators"),
    ("*/provenance.json", "code, configuration and machine of one run"),
    ("results/windows/*", "closed windows: features, class, side of each split"),
    ("*/scores.json", "scores of a model on held-out windows"),
    ("results/sweep/*", "depth and number of trees: accuracy, latency, program size"),
    ("results/load/load.parquet", "turns of the arms under more and more load"),
    ("results/load/breaks.json", "where each arm breaks"),
    ("results/flood.parquet", "a flood of new flows against the flow table"),
    ("config.yaml", "every knob of this run"),
    (DRAWINGS, "the figures' rules with their inputs and parameters, for `make redraw`"),
    ("README.md", "how to use all this"),
    ("CITATION.cff", "how to cite it"),
    ("LICENSE", "licence"),
    ("bpf/*", "source of what runs in the kernel"),
    ("envs/*", "what a machine needs"),
    ("presets/*", "other configurations"),
    ("profiles/*", "what `snakemake` takes as given"),
    ("*", "source of the workflow"),
)
"""Pattern of a path and what such a file is; the first that fits counts."""

_FORMATS = {
    ".parquet": "application/vnd.apache.parquet", ".json": "application/json", ".html": "text/html",
    ".pdf": "application/pdf", ".png": "image/png", ".md": "text/markdown", ".rst": "text/x-rst", ".csv": "text/csv",
    ".yaml": "application/yaml", ".cff": "application/yaml", ".py": "text/x-python", ".c": "text/x-c", ".h": "text/x-c",
    ".toml": "application/toml", ".css": "text/css",
}  # fmt: skip
"""IANA media types where there is one; any other file of the project is text/plain."""


def code(root: Path) -> list[str]:
    """The files of the project that an archive has, from `root`. Raises UserError when that is no clone."""
    git = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "--", *_CODE]
    done = subprocess.run(git, capture_output=True, text=True)
    if done.returncode:
        raise UserError(
            f"{root} is not a git clone, so it is unknown which files belong to the project",
            "make the archive in a clone; from an archive one can only draw figures",
        )
    return [path for path in done.stdout.splitlines() if (root / path).exists()]


def check(runs: Mapping[str, Any]) -> None:
    """Raise UserError when the clone's code or settings are not those that made the runs (runs.described).

    The archive has the clone's: beside such runs they would tell a stranger something false.
    """
    if outdated := older(runs):
        raise UserError(
            "these runs were made by other code or other settings than are here: " + ", ".join(outdated),
            "run `make all`, which measures again what has changed, or check out what made them, then `make archive`",
        )


def pack(
    archive: Path,
    made: Mapping[str, str],
    drawn: list[Drawing],
    config: Mapping[str, Any],
    provenance: Mapping[str, Any],
    root: Path,
) -> None:
    """Write the zip.

    `made` maps every file of the run, by its path in the current folder, to the rule that made it; `drawn` are its
    figures; `config` is the run's configuration and `provenance` its results/provenance.json; `root` has the code.
    """
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms["sha256"] = "https://schema.org/sha256"
    texts = {
        "config.yaml": "# The configuration of the run in this archive, whole.\n"
        + yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True),
        DRAWINGS: json.dumps(drawn, indent=2) + "\n",
    }
    entities = {
        path: _add(crate, path, Path(path).read_bytes(), f" Made by rule {rule}.") for path, rule in made.items()
    }
    for path in code(root):
        _add(crate, path, (root / path).read_bytes())
    for path, text in texts.items():
        entities[path] = _add(crate, path, text.encode())
    software = _describe(crate, provenance, yaml.safe_load((root / "CITATION.cff").read_text()))
    actions = [
        crate.add_action(
            software,
            "#run",
            object=[entities["config.yaml"]],
            result=[entities[path] for path in made],
            properties={
                "name": "The run",
                "startTime": provenance["start"],
                "endTime": provenance["end"],
                "description": f"Linux {provenance['kernel']}, {provenance['cpus']} CPUs ({provenance['cpu']}), "
                f"{xdpmode.words(provenance['xdp_modes'])}, seed {provenance['seed']}",
            },
        )
    ]
    for rule in dict.fromkeys(made.values()):
        results = [entities[path] for path, maker in made.items() if maker == rule]
        actions.append(crate.add_action(software, f"#rule-{rule}", result=results, properties={"name": f"rule {rule}"}))
    crate.root_dataset["mentions"] = actions
    crate.write_zip(archive)


def _add(crate: ROCrate, path: str, content: bytes, more: str = "") -> Any:
    what = next(words for pattern, words in _KINDS if fnmatch(path, pattern))
    return crate.add_file(
        io.BytesIO(content),
        path,
        properties={
            "name": path,
            "description": f"{what[0].upper()}{what[1:]}.{more}",
            "encodingFormat": _FORMATS.get(PurePosixPath(path).suffix, "text/plain"),
            "contentSize": str(len(content)),
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    )


def _describe(crate: ROCrate, provenance: Mapping[str, Any], citation: Mapping[str, Any]) -> Any:
    """The crate itself: title, authors, licence; the software that made the run, which is returned."""

    def add(identifier: str, **properties: Any) -> Any:
        return crate.add(
            ContextEntity(crate, identifier, properties={k.replace("_", "@"): v for k, v in properties.items()})
        )

    licence = add(f"https://spdx.org/licenses/{citation['license']}", _type="CreativeWork", name=citation["license"])
    authors = [
        add(
            f"#author-{number}",
            _type="Organization" if "name" in author else "Person",
            name=author.get("name") or f"{author['given-names']} {author['family-names']}",
        )
        for number, author in enumerate(citation["authors"], 1)
    ]
    software = add(
        "#upfml",
        _type="SoftwareApplication",
        name="upfml",
        description=citation["title"],
        softwareVersion=f"{version('upfml')}, {commits(provenance['runs'], provenance['head'])}",
        author=authors,
        license=licence,
    )
    crate.name = f"A run of upfml, {provenance['end'][:10]}"
    crate.description = (
        f"{citation['title']}: one run, with what its figures are drawn from. `make redraw` draws them again."
    )
    crate.datePublished = provenance["end"]
    crate.license = licence
    crate.root_dataset["author"] = authors
    return software
