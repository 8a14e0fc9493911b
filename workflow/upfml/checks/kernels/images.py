"""Debian's kernels, downloaded and unpacked, never installed: what of them a guest boots.

Where from: the machine's own apt sources, with the suite replaced, in an apt configuration apart (/etc/apt stays as it
is). What remains in .cache/kernels/NAME: vmlinuz, and the modules that a guest needs, in the order of loading.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from upfml.base.cache import FOLDER
from upfml.base.errors import UserError

IMAGES = FOLDER / "kernels"
SUITES = {
    "5.10": ("bullseye", "bullseye-security"),
    "6.1": ("bookworm", "bookworm-security"),
    "6.12": ("bookworm-backports",),
}
"""The kernels that there are, by the suites of Debian that have them as linux-image-amd64."""

_MODULES = ("virtio_pci", "9p", "9pnet_virtio", "overlay", "veth", "sch_ingress", "cls_bpf", "sch_tbf")
"""What a guest takes beyond vmlinuz, for its files and for what bpf/abilities.py tries. Dependencies come along."""
_META = "linux-image-amd64"
_PATIENCE_S = 600.0
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class KernelImage:
    """A kernel that can be booted."""

    name: str  # one of SUITES
    folder: Path

    @property
    def vmlinuz(self) -> Path:
        """What QEMU boots."""
        return self.folder / "vmlinuz"

    @property
    def modules(self) -> list[Path]:
        """The modules to load, in order."""
        return sorted((self.folder / "modules").iterdir())

    @property
    def log(self) -> Path:
        """What a guest says on its console."""
        return self.folder.with_name(f"{self.name}.log")

    @property
    def package(self) -> str:
        """Debian's package and its version."""
        return (self.folder / "package").read_text().strip()


def get(name: str, tell: Tell) -> KernelImage:
    """The kernel `name`, which is downloaded unless it was before. Raises UserError when it cannot be had."""
    image = KernelImage(name, IMAGES / name)
    if image.vmlinuz.is_file():
        return image
    tell(f"{name}: downloading Debian's kernel ({' and '.join(SUITES[name])})")
    work = IMAGES / f"{name}.partial"
    shutil.rmtree(work, ignore_errors=True)
    try:
        _fetch(name, work)
        shutil.rmtree(image.folder, ignore_errors=True)
        (work / "made").rename(image.folder)  # whole or not at all
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return image


def sources(name: str, targets: str) -> str:
    """apt's sources for a kernel, from what `apt-get indextargets` says of the machine's own: lines of SITE RELEASE.

    Debian's archive is the one that has a suite's -updates, too: others' have not. Raises UserError when the machine
    has no source of Debian's of the kind needed.
    """
    own = {(site, release) for site, release, *_ in (line.split() for line in targets.splitlines())}
    lines = []
    for suite in SUITES[name]:
        of_security = suite.endswith("-security")
        found = sorted(
            site
            for site, release in own
            if (release.endswith("-security") if of_security else (site, f"{release}-updates") in own)
        )
        if not found:
            raise UserError(
                f"{name}: apt has no source of Debian's {'security updates' if of_security else 'archive'}",
                "run `apt-get update` with Debian's sources in /etc/apt",
            )
        lines.append(f"deb {found[0]} {suite} main\n")
    return "".join(lines)


def _fetch(name: str, work: Path) -> None:
    """Make `work`/made, a folder as KernelImage has it."""
    for folder in ("state/lists/partial", "cache/archives/partial", "unpacked", "made/modules"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    targets = _run(
        name, ["apt-get", "indextargets", "--no-release-info", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages"]
    )
    (work / "sources.list").write_text(sources(name, targets))
    apart = {
        "Dir::State": work / "state",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
    }
    options = [word for key, value in apart.items() for word in ("-o", f"{key}={value}")]
    _run(name, ["apt-get", *options, "update"])
    depends = _run(name, ["apt-cache", *options, "depends", _META])
    package = re.search(r"Depends: (linux-image-\S+)", depends)
    if not package:
        raise UserError(f"{name}: {_META} depends on no kernel: {depends}", "see what the machine's mirror has")
    _run(name, ["apt-get", *options, "download", package[1]], work)
    (deb,) = work.glob("*.deb")
    _run(name, ["dpkg-deb", "-x", str(deb), str(work / "unpacked")])
    (vmlinuz,) = (work / "unpacked/boot").glob("vmlinuz-*")
    for place, (module, text) in enumerate(_modules(work / "unpacked").items()):
        (work / f"made/modules/{place:02}-{module}.ko").write_bytes(text)
    (work / "made/package").write_text(deb.name.removesuffix(".deb") + "\n")
    vmlinuz.rename(work / "made/vmlinuz")


def _modules(unpacked: Path) -> dict[str, bytes]:
    """_MODULES and what they depend on, each behind what it needs; those that the kernel has built in are left out."""
    there = {
        path.name.split(".ko")[0].replace("-", "_"): path for path in unpacked.glob("lib/modules/*/kernel/**/*.ko*")
    }
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name not in there:
            return
        text = there[name].read_bytes()
        if there[name].suffix == ".xz":
            text = lzma.decompress(text)
        depends = _DEPENDS.search(text)
        for needed in depends[1].decode().split(",") if depends else []:
            add(needed.replace("-", "_"))
        found[name] = text

    for name in _MODULES:
        add(name)
    return found


def _run(name: str, argv: Sequence[str], folder: Path | None = None) -> str:
    """What a command prints. Raises UserError when it is not there, fails or takes too long."""
    try:
        done = subprocess.run(
            argv, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_PATIENCE_S, env=os.environ | {"LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError as error:
        raise UserError(f"{name}: {argv[0]} is not there", "use Debian 12") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"{name}: `{argv[0]}` did not end within {_PATIENCE_S:.0f} s", "see whether the mirror answers"
        ) from error
    if done.returncode:
        last = " ".join(done.stderr.split())[-500:]
        raise UserError(
            f"{name}: `{' '.join(argv[:1])}` failed: {last}", "see whether the machine's mirror has the suite"
        )
    return done.stdout
