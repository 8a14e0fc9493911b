"""A guest: one of Debian's kernels in QEMU, software emulation, with the host's files as its root, read-only.

What it writes goes to memory, but for one shared folder (/mnt in the guest). It runs one Python module of this package
and is switched off when that ends.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from upfml.base.errors import UserError
from upfml.checks.kernels.images import KernelImage
from upfml.testbed.host import die_with_parent

SHARE = Path("/mnt")
"""Where the guest has the shared folder."""
PATIENCE_S = 900.0

_WORKFLOW = Path(__file__).parents[3]
QEMU = "qemu-system-x86_64"
_BUSYBOX = Path("/bin/busybox")
_MEMORY_MIB = 2_048
_BOOTED = "upfml: booted"
_LAST_LINES = 15

# Linux starts this in the initramfs. The last command keeps the guest from running on, whatever became of the others.
_INIT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /proc /dev /lower /upper /root
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for module in /modules/*; do $b insmod $module; done
p9=trans=virtio,version=9p2000.L,msize=524288
$b mount -t 9p -o ro,cache=loose,$p9 root /lower
$b mount -t tmpfs tmp /upper
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root
$b mount -t proc proc /root/proc
$b mount -t sysfs sys /root/sys
$b mount -t devtmpfs dev /root/dev
$b mount -t 9p -o $p9 share /root{share}
echo {booted}
$b chroot /root {command}
$b poweroff -f
"""

Tell = Callable[[str], None]


def run(image: KernelImage, module: str, share: Path, tell: Tell, patience_s: float = PATIENCE_S) -> float:
    """Boot a kernel and run `python -m MODULE /mnt` there: the seconds that it took.

    `share` is the guest's /mnt; lines that the module begins with `upfml: ` go to `tell`. Call from the main thread
    only: QEMU ends with it. Raises UserError when QEMU or busybox is missing, or when the guest does not end in time.
    """
    for program in (QEMU, str(_BUSYBOX)):
        if shutil.which(program) is None:
            raise UserError(
                f"{program} is not there", "run `make setup`, or apt-get install qemu-system-x86 busybox-static"
            )
    console = image.log.open("wb")
    began = time.monotonic()
    with (
        console,
        TemporaryDirectory(dir=share) as own,
        subprocess.Popen(
            _command(image, _initramfs(image, module, Path(own)), share),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        ) as qemu,
    ):
        try:
            assert qemu.stdout is not None
            for line in _lines(qemu.stdout.fileno(), began + patience_s):
                console.write(line.encode() + b"\n")
                console.flush()
                if line == _BOOTED:
                    tell(f"{image.name}: booted after {time.monotonic() - began:.0f} s")
                elif line.startswith("upfml: "):
                    tell(f"{image.name}: {line.removeprefix('upfml: ')}")
        except TimeoutError as error:
            raise UserError(
                f"{image.name}: the guest did not end within {patience_s:.0f} s; its last output: {last_words(image)}",
                "see whether the machine is busy, and run it again",
            ) from error
        finally:
            qemu.kill()
    return time.monotonic() - began


def last_words(image: KernelImage) -> str:
    """The last lines on the console of a guest."""
    lines = image.log.read_text(errors="replace").splitlines()
    return " | ".join(lines[-_LAST_LINES:]) or "nothing"


def _lines(fd: int, deadline: float) -> Iterator[str]:
    """The lines that come from a descriptor until its other end is closed. Raises TimeoutError at the deadline."""
    rest = b""
    poll = select.poll()  # select.select takes no descriptor above 1,023
    poll.register(fd, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(1e3 * left):
            raise TimeoutError
        read = os.read(fd, 65_536)
        *lines, rest = (rest + read).replace(b"\r", b"").split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
        if not read:
            return


def _initramfs(image: KernelImage, module: str, folder: Path) -> Path:
    root = folder / "initramfs"
    for name in ("bin", "modules"):
        (root / name).mkdir(parents=True)
    shutil.copy(_BUSYBOX, root / "bin")
    for each in image.modules:
        shutil.copy(each, root / "modules")
    variables = {"PYTHONPATH": str(_WORKFLOW), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    words = ["/usr/bin/env", *(f"{key}={value}" for key, value in variables.items())]
    words += [sys.executable, "-W", "ignore", "-m", module, str(SHARE)]
    init = root / "init"
    init.write_text(_INIT.format(share=SHARE, booted=_BOOTED, command=shlex.join(words)))
    init.chmod(0o755)
    made = folder / "initramfs.cpio"
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with made.open("wb") as out:
        subprocess.run(
            [_BUSYBOX, "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(), stdout=out,
            stderr=subprocess.DEVNULL, check=True, timeout=60,
        )  # fmt: skip
    return made


def _command(image: KernelImage, initramfs: Path, share: Path) -> Sequence[str | Path]:
    def files(path: Path, tag: str, options: str) -> list[str]:
        return ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,{options}"]

    return [
        *(QEMU, "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", str(_MEMORY_MIB)),
        *("-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"),
        *("-kernel", image.vmlinuz, "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1"),
        *files(Path("/"), "root", "readonly=on,multidevs=remap"),
        *files(share, "share", "multidevs=remap"),
    ]
