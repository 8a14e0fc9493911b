"""Which kernel headers are chosen, and the merge of Debian's two trees, on file systems made for the purpose."""

import os
from pathlib import Path

import pytest

from upfml.base.errors import UserError
from upfml.bpf import headers


def touch(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def debian(root: Path, version: str) -> None:
    """The two trees of Debian's package, as far as they matter."""
    common, generated = (root / f"usr/src/linux-headers-{version}-{part}" for part in ("common", "amd64"))
    touch(common / "include/linux/kconfig.h")
    touch(common / "arch/x86/include/asm/types.h")
    touch(common / "arch/arm64/include/asm/types.h")
    touch(common / "arch/x86/Makefile", "common")
    touch(generated / "include/generated/autoconf.h", version)
    touch(generated / "arch/x86/include/generated/asm/rwonce.h")
    touch(generated / "arch/x86/Makefile", "generated")


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    return tmp_path / "cache/kernel-headers"


def test_nothing_found_names_the_remedy(tmp_path: Path, merged: Path) -> None:
    with pytest.raises(UserError, match="make setup"):
        headers.find(tmp_path, merged)
    with pytest.raises(UserError, match="linux-headers-"):
        headers.prepare(tmp_path, merged)
    assert not merged.exists()


def test_merge_unites_the_trees(tmp_path: Path, merged: Path) -> None:
    debian(tmp_path, "6.1.0-56")
    with pytest.raises(UserError):
        headers.find(tmp_path, merged)  # finding makes nothing
    found = headers.prepare(tmp_path, merged)
    assert found == headers.find(tmp_path, merged)
    assert found.environment == {"BCC_KERNEL_SOURCE": str(merged)}
    assert found.how == "package linux-headers-6.1.0-56-amd64"
    for name in ("asm/types.h", "generated/asm/rwonce.h"):
        assert (merged / "arch/x86/include" / name).is_file()
    assert (merged / "arch/x86/Makefile").read_text() == "generated"
    assert (merged / "arch/arm64").is_symlink()


def test_newest_version_is_taken_by_number(tmp_path: Path, merged: Path) -> None:
    debian(tmp_path, "6.1.0-9")
    debian(tmp_path, "6.1.0-56")
    headers.prepare(tmp_path, merged)
    assert (merged / "include/generated/autoconf.h").read_text() == "6.1.0-56"


def test_half_a_package_does_not_count(tmp_path: Path, merged: Path) -> None:
    touch(tmp_path / "usr/src/linux-headers-6.1.0-56-amd64/include/generated/autoconf.h")
    with pytest.raises(UserError):
        headers.prepare(tmp_path, merged)


def test_merge_into_a_removed_version_is_made_anew(tmp_path: Path, merged: Path) -> None:
    debian(tmp_path, "6.1.0-55")
    headers.prepare(tmp_path, merged)
    (tmp_path / "usr/src").rename(tmp_path / "usr/removed")
    with pytest.raises(UserError):
        headers.find(tmp_path, merged)
    debian(tmp_path, "6.1.0-56")
    assert headers.prepare(tmp_path, merged).how == "package linux-headers-6.1.0-56-amd64"


def test_interrupted_merge_is_made_anew(tmp_path: Path, merged: Path) -> None:
    debian(tmp_path, "6.1.0-56")
    touch(merged.with_name("kernel-headers.partial") / "include/linux/kconfig.h")
    with pytest.raises(UserError):
        headers.find(tmp_path, merged)
    assert headers.prepare(tmp_path, merged).path == merged


def test_the_kernels_own_come_first_and_bcc_finds_them(tmp_path: Path, merged: Path) -> None:
    debian(tmp_path, "6.1.0-56")
    headers.prepare(tmp_path, merged)
    touch(tmp_path / "sys/kernel/kheaders.tar.xz")
    assert headers.find(tmp_path, merged).how.startswith("kept in the running kernel")
    modules = tmp_path / "lib/modules" / os.uname().release
    (modules / "build").mkdir(parents=True)  # without what BCC includes: of no use
    assert headers.find(tmp_path, merged).how.startswith("kept in the running kernel")
    touch(modules / "source/include/linux/kconfig.h")  # Debian: generated files in build, the rest in source
    found = headers.find(tmp_path, merged)
    assert (found.path, found.environment) == (modules / "build", {})
