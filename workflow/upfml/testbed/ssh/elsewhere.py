"""Run a script of the workflow on the UPF's machine: for what is measured of its kernel and CPUs without the test bed.

On the test bed `namespaces` that is this machine. Over SSH the script's inputs are sent there, it is started by
`python -m upfml.testbed.ssh.elsewhere RULE.json`, and its outputs are brought back; what it says is in the rule's
log here.
"""

from __future__ import annotations

import logging
import os
import runpy
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from upfml.base import files
from upfml.base.errors import UserError

if TYPE_CHECKING:
    from upfml.testbed.ssh.remote import RemoteHost

log = logging.getLogger(__name__)

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
_RESULTS = "results"
_GRACE_S = 10.0
"""In which a script that is interrupted takes down what it has put up."""


class _Files(list[str]):
    """Files of a rule, by number and by name, as Snakemake's scripts see them."""

    def __init__(self, paths: list[str], names: Mapping[str, int]) -> None:
        super().__init__(paths)
        for name, number in names.items():
            setattr(self, name, paths[number])


def run(snakemake: Any, script: str) -> None:
    """Run `script` of SCRIPTS for this rule, where its parameter `testbed` says that the UPF is.

    Inputs go with the folder that they are in, as scripts find other files there. Raises UserError when the machine
    cannot be reached, or when the script ends with an error.
    """
    testbed = snakemake.params.testbed
    if testbed["kind"] == "namespaces":
        runpy.run_path(str(SCRIPTS / script), init_globals={"snakemake": snakemake}, run_name="__main__")
        return
    from upfml.testbed.ssh import bed

    with bed.upf(testbed) as upf:
        _run_on(upf, snakemake, script)


def _run_on(upf: RemoteHost, snakemake: Any, script: str) -> None:
    said = Path(snakemake.log[0]).with_suffix(".upf.log")
    said.unlink(missing_ok=True)
    outputs = [Path(path) for path in snakemake.output]
    rule = said.with_suffix(".json")
    content = {
        "input": _described(snakemake.input, upf),
        "output": _described(snakemake.output, upf),
        "log": _described(snakemake.log, upf),
        "params": dict(snakemake.params.items()),
        "wildcards": dict(snakemake.wildcards.items()),
        "script": str(upf.path(SCRIPTS / script)),
    }
    files.write_json(content, rule)
    upf.send(rule, SCRIPTS / script, *{_with_its_folder(Path(path)) for path in snakemake.input})
    folders = {path.parent for path in [*outputs, Path(snakemake.log[0])]}
    upf.run(["mkdir", "-p", *sorted(folders)])
    log.info("running %s on the UPF's machine; what it says is in %s", script, said)
    status = upf.attend([upf.python, "-m", "upfml.testbed.ssh.elsewhere", rule], said)
    if status:
        tail = said.read_text(errors="replace")[-2000:]
        raise UserError(f"{script} ended on the UPF's machine with status {status}:\n{tail}", f"see {said}")
    upf.fetch(*outputs)


def _with_its_folder(path: Path) -> Path:
    return path if path.is_dir() or path.parent.name == _RESULTS else path.parent


def _described(given: Any, upf: RemoteHost) -> dict[str, Any]:
    """Where the files are on the host, and which have names."""
    numbers = {path: number for number, path in enumerate(given)}
    names = {name: numbers[path] for name, path in given.items() if isinstance(path, str) and path in numbers}
    return {"paths": [str(upf.path(Path(path))) for path in given], "names": names}


def _end_with_input() -> None:
    """In a thread: when nobody holds the other end of standard input any more, interrupt the script."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(_GRACE_S)
    os._exit(1)


def main() -> None:
    """On the UPF's machine: the script, with what it has to know of its rule."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    Thread(target=_end_with_input, daemon=True).start()
    rule = files.read_json(sys.argv[1])
    named = {kind: _Files(**rule[kind]) for kind in ("input", "output", "log")}
    stand_in = SimpleNamespace(
        **named, params=SimpleNamespace(**rule["params"]), wildcards=SimpleNamespace(**rule["wildcards"])
    )
    runpy.run_path(rule["script"], init_globals={"snakemake": stand_in}, run_name="__main__")


if __name__ == "__main__":
    main()
