"""Kernel headers for BCC, which compiles every program on the machine that loads it.

In: the running kernel's own headers where there are any, else those of Debian's header package. Out: a place that BCC
can compile against. The programs use only the types of the kernel's user-space interface (include/uapi), which do
not change between versions, so headers of another version than the running kernel's are fine.

`find` looks and is cheap; `prepare`, called once by envs/setup.sh, makes what `find` finds.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from upfml.base.errors import UserError

MERGED = Path(__file__).parents[3] / ".cache" / "kernel-headers"
"""Debian's two trees as the one that BCC expects."""

_MARK = Path("include/linux/kconfig.h")
"""BCC includes this file in every program (its KBuildHelper), so a tree without it is of no use."""


@dataclass(frozen=True)
class KernelHeaders:
    """Where the headers are (`path`) and in which of the three ways they were found (`how`, for the reader).

    `environment` is what must be set before BCC compiles: nothing where BCC finds the headers by itself.
    """

    path: Path
    how: str
    environment: dict[str, str]


def find(root: Path = Path("/"), merged: Path = MERGED) -> KernelHeaders:
    """The first usable headers, in BCC's own order and then ours. `root` is where the file system begins.

    Raises UserError when there are none.
    """
    release = os.uname().release
    modules = root / "lib/modules" / release
    # A distribution's `build` may hold generated files only, the rest being under `source`: BCC reads both.
    if any((modules / tree / _MARK).is_file() for tree in ("build", "source")) and (modules / "build").is_dir():
        return KernelHeaders(modules / "build", f"the running kernel's own ({release})", {})
    in_kernel = root / "sys/kernel/kheaders.tar.xz"
    if in_kernel.is_file():
        return KernelHeaders(in_kernel, "kept in the running kernel (CONFIG_IKHEADERS)", {})
    if (merged / _MARK).is_file():
        tree = (merged / "include/generated/autoconf.h").resolve().parents[2].name
        return KernelHeaders(merged, f"package {tree}", {"BCC_KERNEL_SOURCE": str(merged)})
    raise UserError(
        f"no kernel headers for BCC: not in {modules}/build, {in_kernel} or {merged}", "run `make setup` as root"
    )


def prepare(root: Path = Path("/"), merged: Path = MERGED) -> KernelHeaders:
    """Like `find`, but makes the merged tree first when it is needed and the package is there.

    Raises UserError when the package is not there.
    """
    try:
        return find(root, merged)
    except UserError as none_found:
        trees = _debian_trees(root / "usr/src")
        if trees is None:
            raise UserError(none_found.cause, "install Debian's package linux-headers-<architecture>") from none_found
    partial = merged.with_name(merged.name + ".partial")
    for old in (merged, partial):  # links into a version of the package that is gone, and a merge that was killed
        shutil.rmtree(old, ignore_errors=True)
    for part in ("include", "arch"):
        _merge([tree / part for tree in trees], partial / part)
    partial.rename(merged)
    return find(root, merged)


def _debian_trees(sources: Path) -> tuple[Path, Path] | None:
    """The newest version's generated tree and its common tree, in this order; None when there is no whole pair.

    The package divides a version's headers in linux-headers-VERSION-common and linux-headers-VERSION-ARCHITECTURE; only
    the latter has a configuration.
    """
    generated = sources.glob("linux-headers-*/include/generated/autoconf.h")
    for tree in sorted((path.parents[2] for path in generated), key=_version, reverse=True):
        common = tree.with_name(tree.name.rsplit("-", 1)[0] + "-common")
        if (common / _MARK).is_file():
            return tree, common
    return None


def _version(tree: Path) -> list[int]:
    return [int(number) for number in tree.name.replace("-", ".").split(".") if number.isdigit()]


def _merge(trees: list[Path], into: Path) -> None:
    """Make `into` the union of `trees`, of links: a folder that only one tree has is a single link.

    Where two trees have the same file, the first tree's counts.
    """
    into.mkdir(parents=True)
    for name in sorted({child.name for tree in trees for child in tree.iterdir()}):
        found = [tree / name for tree in trees if (tree / name).exists()]
        if len(found) > 1 and all(path.is_dir() for path in found):
            _merge(found, into / name)
        else:
            (into / name).symlink_to(found[0])


def main() -> None:
    """`python -m upfml.bpf.headers [prepare]`: print what was found as JSON; on failure the reason, with status 1."""
    try:
        headers = prepare() if sys.argv[1:] == ["prepare"] else find()
    except UserError as error:
        sys.exit(str(error))
    print(json.dumps({"path": str(headers.path), "how": headers.how, "environment": headers.environment}))


if __name__ == "__main__":
    main()
