"""Hosts that are reached by SSH: what is started there is what was asked for, and nothing outlives the run."""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.testbed.machines import ADDRESSES, FOLDER, PLAIN_USER, PYTHON, Testbed, make_key
from tests.waiting import until

from upfml.base.errors import UserError
from upfml.testbed.host import NO_ANSWER, NOT_FOUND, stop
from upfml.testbed.ssh import connection
from upfml.testbed.ssh.connection import Connection, MachineRunner
from upfml.testbed.ssh.inventory import Machine
from upfml.testbed.ssh.keeper import LIFETIME_S
from upfml.testbed.ssh.remote import RemoteHost

ROOT, USER = "ran", "dn"
"""One machine where root logs in, and one where a user does who has sudo."""

SHARED = f"{FOLDER}-shared"
"""The folder of the host that lasts for many tests; others have their runs in FOLDER meanwhile."""

_numbers = itertools.count(1_000_000 + os.getpid() % 10_000 * 100)

# Enters the host, starts what leaves children behind in three ways, says so, and waits.
HOLDER = """
import json, sys, time
from pathlib import Path
from upfml.testbed.ssh import inventory
from upfml.testbed.ssh.remote import RemoteHost
section, role, log, number = json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4]
with RemoteHost(inventory.machines(section)[role]) as host:
    host.afterwards(["touch", f"/run/upfml/after-{number}"])
    host.start(["sh", "-c", f"setsid sleep {number} & (sleep {number} &); sleep {number}"], log=log)
    while host.run(["pgrep", "-cfx", f"sleep {number}"]).stdout.strip() != "3":
        time.sleep(0.05)
    print("ready", flush=True)
    host.start(["sleep", "600"], log=log).wait()
"""


def pids(*words: str) -> list[int]:
    """The processes of this machine, so of all PID namespaces, that have this command line."""
    wanted = "".join(f"{word}\0" for word in words).encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes() == wanted:
                found.append(int(process.name))
        except OSError:  # ended meanwhile
            pass
    return found


def keepers(bed: Testbed, role: str) -> list[int]:
    """The keepers on a machine, as this machine numbers them."""
    there = (Path(f"/proc/{bed.sshd[role].pid}/ns/net")).stat().st_ino
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            numbers = (process / "status").read_text().partition("NSpid:")[2].split("\n")[0].split()
            # Init of a namespace: what the keeper has just forked looks the same until it is another program.
            if FOLDER.encode() in words and numbers[-1] == "1" and (process / "ns/net").stat().st_ino == there:
                found.append(int(process.name))
        except (OSError, IndexError):
            pass
    return found


class Held:
    """A run in a process of its own."""

    def __init__(self, bed: Testbed, role: str, log: Path) -> None:
        self.bed, self.role, self.number = bed, role, str(next(_numbers))
        self.after = bed.root(role) / f"run/upfml/after-{self.number}"
        argv = [sys.executable, "-c", HOLDER, json.dumps(bed.section()), role, str(log), self.number]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", self.process.communicate()
        assert len(self.left()) == 3

    def left(self) -> list[int]:
        """What it has started, children's children too, and runs still."""
        return pids("sleep", self.number)

    def gone(self) -> bool:
        """Whether its processes and its folder are."""
        return not self.left() and not self.bed.folder(self.role).exists()


@pytest.fixture(params=[ROOT, USER])
def held(request: pytest.FixtureRequest, testbed: Testbed, tmp_path: Path) -> Iterator[Held]:
    holder = Held(testbed, request.param, tmp_path / "log")
    yield holder
    holder.process.kill()
    holder.process.wait()
    assert until(holder.gone, LIFETIME_S + 5)


@pytest.fixture(scope="module", params=[ROOT, USER])
def host(request: pytest.FixtureRequest, testbed: Testbed) -> Iterator[RemoteHost]:
    with RemoteHost(testbed.machine(request.param, folder=SHARED)) as entered:
        yield entered


@pytest.fixture
def small(testbed: Testbed) -> Iterator[Callable[[str], Machine]]:
    """A machine whose folder for runs is on a disk of its own, of a size as mount(8) takes it."""
    folder = "/run/upfml/small"

    def make(size: str) -> Machine:
        testbed.inside(ROOT, "mkdir", folder)
        mounted = testbed.inside(ROOT, "mount", "-t", "tmpfs", "-o", f"mode=755,size={size}", "tmpfs", folder)
        assert mounted.returncode == 0, mounted.stderr
        return testbed.machine(ROOT, folder=folder)

    yield make
    assert testbed.inside(ROOT, "umount", folder).returncode == 0


def refusal(machine: Machine) -> str:
    """How a machine is refused: always with its role and address, and with a remedy."""
    with pytest.raises(UserError) as refused, RemoteHost(machine):
        pass
    assert f"{machine.role} ({machine.address})" in refused.value.cause
    assert refused.value.remedy
    return str(refused.value)


# processes


def test_what_talks_is_told_and_heard(host: RemoteHost, tmp_path: Path) -> None:
    program = (
        "import sys\nfor line in sys.stdin: print('heard', line.strip(), flush=True)\nprint('end', file=sys.stderr)"
    )
    process = host.start([host.python, "-c", program], log=tmp_path / "log", talks=True)
    assert process.pid > 0
    assert process.hear(0.2) is None
    for word in ("eins", "zwei"):
        process.tell(word)
        assert process.hear(5) == f"heard {word}\n"
    assert process.poll() is None
    with pytest.raises(TimeoutError):
        process.wait(0.1)
    assert stop(process, by=signal.SIGTERM) == -signal.SIGTERM
    assert process.hear(5) == ""
    process.tell("nobody reads this")


def test_last_output_comes_before_the_end(host: RemoteHost, tmp_path: Path) -> None:
    lines = 20_000
    process = host.start(["seq", f"{lines}"], log=tmp_path / "log")
    assert process.wait(20) == 0
    assert (tmp_path / "log").read_text().split() == [str(number) for number in range(1, lines + 1)]


def test_a_line_without_end_is_said_before_the_end(host: RemoteHost, tmp_path: Path) -> None:
    process = host.start(["printf", "a\\nb"], log=tmp_path / "log", talks=True)
    assert [process.hear(5) for _ in range(3)] == ["a\n", "b", ""]


def test_output_is_appended_byte_by_byte(host: RemoteHost, tmp_path: Path) -> None:
    log = tmp_path / "new" / "log"
    log.parent.mkdir()
    log.write_bytes(b"before\n")
    assert host.start(["printf", "\\377\\303\\266\\n"], log=log).wait(5) == 0
    assert log.read_bytes() == b"before\n\xff\xc3\xb6\n"


def test_log_has_both_streams_or_stderr_of_what_talks(host: RemoteHost, tmp_path: Path) -> None:
    argv = ["sh", "-c", "echo out; echo err >&2; exit 7"]
    assert host.start(argv, log=tmp_path / "both").wait(5) == 7
    assert (tmp_path / "both").read_text() == "out\nerr\n"
    assert host.start(argv, log=tmp_path / "stderr", talks=True).wait(5) == 7
    assert (tmp_path / "stderr").read_text() == "err\n"


def test_command_has_status_and_texts(host: RemoteHost) -> None:
    done = host.run(["sh", "-c", "id -u; printf 'w\\377' >&2; cat; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, "0\n", "w\ufffd")
    assert host.run(["umask"]).returncode == NOT_FOUND  # of the shell alone
    assert host.run(["sh", "-c", "umask"]).stdout == "0022\n"


def test_command_that_takes_too_long_is_ended(host: RemoteHost, monkeypatch: pytest.MonkeyPatch) -> None:
    number = str(next(_numbers))
    monkeypatch.setattr("upfml.testbed.ssh.remote.RUN_PATIENCE_S", 0.5)
    assert host.run(["sleep", number]).returncode == NO_ANSWER
    assert until(lambda: not pids("sleep", number))


def test_program_that_is_not_there_is_named(host: RemoteHost, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing-like-this: not found"):
        host.start(["nothing-like-this"], log=tmp_path / "log")
    with pytest.raises(UserError, match="/proc/version: Permission denied"):
        host.start(["/proc/version"], log=tmp_path / "log")


def test_daemon_that_keeps_the_log_is_not_waited_for(host: RemoteHost, tmp_path: Path) -> None:
    before = time.monotonic()
    process = host.start(["sh", "-c", "(sleep 3; echo late) & echo early"], log=tmp_path / "log")
    assert process.wait(5) == 0
    assert time.monotonic() - before < 2
    assert (tmp_path / "log").read_text() == "early\n"
    assert until(lambda: (tmp_path / "log").read_text() == "early\nlate\n")


def test_one_that_does_not_read_holds_up_nobody(host: RemoteHost, tmp_path: Path) -> None:
    deaf = host.start(["sleep", "600"], log=tmp_path / "deaf", talks=True)
    for _ in range(4):
        deaf.tell("x" * 100_000)
    assert host.run(["true"]).returncode == 0
    assert stop(deaf) == -signal.SIGTERM


def test_log_that_cannot_be_written_is_an_error(host: RemoteHost, tmp_path: Path) -> None:
    process = host.start(["sh", "-c", "read go; echo x >&2; sleep 600"], log=tmp_path / "log", talks=True)
    (tmp_path / "log").unlink()
    (tmp_path / "log").mkdir()
    process.tell("go")

    def refused() -> bool:
        try:
            process.poll()
        except UserError as error:
            return "cannot write" in error.cause and str(tmp_path / "log") in error.cause
        return False

    assert until(refused)


def test_runs_the_code_of_this_tree(host: RemoteHost) -> None:
    done = host.run([host.python, "-c", "from upfml.bpf import module; print(module.__file__, module.SOURCES)"])
    package, sources = map(Path, done.stdout.split())
    assert package.is_relative_to(SHARED)
    assert sources == package.parents[3] / "bpf"
    assert host.run(["test", "-f", str(sources / "upf.bpf.c")]).returncode == 0
    assert host.run(["find", SHARED, "-path", "*/bpf/__pycache__"]).stdout == ""


def test_headers_of_the_machine_are_found(host: RemoteHost) -> None:
    assert host.run([host.python, "-m", "upfml.bpf.headers"]).returncode == 0


# files


def test_trees_go_and_come_back_with_their_modes(host: RemoteHost, tmp_path: Path) -> None:
    tree = tmp_path / "a tree"
    (tree / "empty").mkdir(parents=True)
    (tree / "data").write_bytes(bytes(range(256)) * 5_000)
    (tree / "tool").write_text('#!/bin/sh\ncat "$1"\n')
    (tree / "tool").chmod(0o750)
    (tree / "link").symlink_to("data")
    single = tmp_path / "-single"
    single.write_text("alone")
    host.send(tree, single)
    assert host.path(tree) != tree
    assert host.run([tree / "tool", single]).stdout == "alone"
    assert host.run(["stat", "-c", "%a %u %F", tree / "tool", tree / "empty"]).stdout.splitlines() == [
        "750 0 regular file",
        "755 0 directory",
    ]
    changed = 'umask 077; mkdir "$1/made"; tac "$1/tool" >"$1/made/tcat"; rm "$1/data"; echo 2 >"$2"'
    assert host.run(["sh", "-c", changed, "sh", tree, single]).returncode == 0
    (tree / "data").unlink()
    (tree / "link").unlink()
    (tree / "empty").rmdir()
    assert host.run(["rm", tree / "link"]).returncode == 0
    host.fetch(tree, single)
    assert single.read_text() == "2\n"
    assert sorted(path.name for path in tree.rglob("*")) == ["empty", "made", "tcat", "tool"]
    assert (tree / "made/tcat").read_text() == 'cat "$1"\n#!/bin/sh\n'
    assert (tree / "made/tcat").stat().st_mode & 0o777 == 0o600
    assert (tree / "made").stat().st_mode & 0o777 == 0o700
    assert (tree / "tool").stat().st_mode & 0o777 == 0o750
    assert (tree / "empty").is_dir()


def test_only_paths_are_files_of_the_run(host: RemoteHost, tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("from the controller\n")
    assert host.run(["cat", words]).returncode != 0
    host.send(words)
    assert host.run(["cat", words]).stdout == "from the controller\n"
    assert host.run(["cat", str(words)]).returncode != 0
    process = host.start(["tr", "a-z", "A-Z"], log=tmp_path / "log", stdin=words)
    assert process.wait(5) == 0
    assert (tmp_path / "log").read_text() == "FROM THE CONTROLLER\n"


def test_what_was_sent_can_be_sent_again(host: RemoteHost, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for text in ("a longer text", "short"):
        file.write_text(text)
        file.chmod(0o444)
        host.send(file)
        assert host.run(["cat", file]).stdout == text
        file.chmod(0o644)


def test_files_that_are_not_there_are_named(host: RemoteHost, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot send .*no-such-file to .*: No such file"):
        host.send(tmp_path / "no-such-file")
    with pytest.raises(UserError, match="no-such-file: Cannot stat: No such file"):
        host.fetch(tmp_path / "no-such-file")
    assert host.run(["true"]).returncode == 0


def test_full_disk_there_is_a_clear_error(small: Callable[[str], Machine], tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(16 << 20))
    with RemoteHost(small("8m")) as host:
        with pytest.raises(
            UserError, match=r"/run/upfml/small.* No space left.*\(0 free of 8.0M on /run/upfml/small\)"
        ):
            host.send(large)
        assert host.run(["true"]).returncode == 0


@pytest.mark.parametrize("size", ["4k", "100k"])
def test_disk_too_small_for_the_code_is_a_clear_error(small: Callable[[str], Machine], size: str) -> None:
    machine = small(size)
    assert "No space left" in refusal(machine)


def test_folder_that_cannot_be_made_is_a_clear_error(testbed: Testbed) -> None:
    said = refusal(testbed.machine(ROOT, folder="/proc/here"))
    assert "/proc/here" in said
    assert "testbed.machines.folder" in said


def test_folder_that_others_can_write_to_is_refused(testbed: Testbed) -> None:
    """What is found there after a killed run is run as root."""
    assert "only root" in refusal(testbed.machine(ROOT, folder="/var/tmp"))
    testbed.inside(USER, "install", "-d", "-o", PLAIN_USER, "/var/tmp/theirs")
    assert "only root" in refusal(testbed.machine(USER, folder="/var/tmp/theirs"))


# the end


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_controller(held: Held, by: signal.Signals) -> None:
    held.process.send_signal(by)
    held.process.wait(15)
    assert until(held.gone)
    assert held.after.exists()


def test_nothing_outlives_a_connection_that_the_machine_closes(held: Held) -> None:
    [keeper] = keepers(held.bed, held.role)
    parent, name = keeper, ""
    while not name.startswith("sshd"):  # keeper, unshare, with sudo two of these, a shell: sshd
        parent = int(Path(f"/proc/{parent}/stat").read_text().rsplit(")", 1)[1].split()[1])
        name = Path(f"/proc/{parent}/comm").read_text()
    assert parent != held.bed.sshd[held.role].pid
    os.kill(parent, signal.SIGKILL)
    _, said = held.process.communicate(timeout=15)
    assert f"the connection to {held.role} ({ADDRESSES[held.role]}) was lost" in said
    assert until(held.gone)
    assert held.after.exists()


def test_nothing_outlives_a_network_that_goes_silent(held: Held) -> None:
    held.bed.link(held.role, "down")
    try:
        before = time.monotonic()
        _, said = held.process.communicate(timeout=25)
        assert time.monotonic() - before < 20
        assert f"the connection to {held.role} ({ADDRESSES[held.role]}) was lost" in said
        assert until(held.gone, LIFETIME_S + 5)
        assert held.after.exists()
    finally:
        held.bed.link(held.role, "up")


def test_what_a_killed_keeper_leaves_is_cleared_by_the_next_run(held: Held) -> None:
    [keeper] = keepers(held.bed, held.role)
    os.kill(keeper, signal.SIGKILL)
    _, said = held.process.communicate(timeout=15)
    assert f"the keeper of the run on {held.role}" in said
    assert until(lambda: not held.left())
    assert not held.after.exists()
    folder = held.bed.folder(held.role)
    assert len(list(folder.glob("run-*"))) == 1
    with RemoteHost(held.bed.machines()[held.role]):
        assert held.after.exists()
        assert len(list(folder.glob("run-*"))) == 1
    assert not folder.exists()


def test_a_keeper_that_is_told_to_ends(held: Held) -> None:
    """Its machine is shut down."""
    [keeper] = keepers(held.bed, held.role)
    os.kill(keeper, signal.SIGTERM)
    held.process.communicate(timeout=15)
    assert until(held.gone)
    assert held.after.exists()


def test_a_second_run_waits_its_turn(held: Held) -> None:
    said = refusal(held.bed.machines()[held.role])
    assert f"another run is using it: root on {os.uname().nodename}, process {held.process.pid}" in said
    assert len(held.left()) == 3


@pytest.mark.parametrize("role", [ROOT, USER])
def test_nothing_is_left_after_a_run(testbed: Testbed, tmp_path: Path, role: str) -> None:
    number = str(next(_numbers))
    with RemoteHost(testbed.machines()[role]) as host:
        host.afterwards(["touch", f"/run/upfml/after-{number}"])
        process = host.start(["sh", "-c", f"setsid sleep {number} & sleep {number}"], log=tmp_path / "log")
        assert until(lambda: len(pids("sleep", number)) == 2)
        assert not (testbed.root(role) / f"run/upfml/after-{number}").exists()
    assert not pids("sleep", number)
    assert (testbed.root(role) / f"run/upfml/after-{number}").exists()
    assert not testbed.folder(role).exists()
    assert process.poll() == -signal.SIGKILL
    with pytest.raises(UserError, match="is over"):
        host.run(["true"])


def test_nothing_is_left_after_an_error(testbed: Testbed) -> None:
    with pytest.raises(RuntimeError), RemoteHost(testbed.machines()[USER]):
        raise RuntimeError
    assert not testbed.folder(USER).exists()
    assert not keepers(testbed, USER)


def test_orphans_are_reaped(testbed: Testbed, tmp_path: Path) -> None:
    with RemoteHost(testbed.machines()[ROOT]) as host:
        host.start(["sh", "-c", "for i in 1 2 3; do (sleep 0.1 &); done"], log=tmp_path / "log").wait(5)
        time.sleep(0.5)
        assert "Z" not in host.run(["ps", "-e", "-o", "state="]).stdout


def test_a_command_for_afterwards_that_fails_is_told_of(testbed: Testbed, caplog: pytest.LogCaptureFixture) -> None:
    with RemoteHost(testbed.machines()[ROOT]) as host:
        host.afterwards(["sh", "-c", "echo not so; exit 3"])
        host.afterwards(["nothing-like-this"])
    assert "status 3: not so" in caplog.text
    assert "nothing-like-this" in caplog.text
    assert not testbed.folder(ROOT).exists()


def test_only_leftovers_of_runs_are_removed(testbed: Testbed) -> None:
    folder = testbed.folder(ROOT)
    for name in ("run-0123abcd/files", "run-mine", "run-0123abcde", "other"):
        (folder / name).mkdir(parents=True)
    (folder / "run-76543210").write_text("a file")
    (folder / "run-fedcba98").symlink_to("other")
    try:
        with RemoteHost(testbed.machines()[ROOT]) as host:
            assert not (folder / "run-0123abcd").exists()
            assert Path(f"{testbed.root(ROOT)}{host.path(Path('/'))}").is_dir()
        assert sorted(path.name for path in folder.iterdir()) == [
            "other", "run-0123abcde", "run-76543210", "run-fedcba98", "run-mine",
        ]  # fmt: skip
    finally:
        testbed.inside(ROOT, "rm", "-r", FOLDER)


def test_waiting_ends_when_the_connection_does(testbed: Testbed, tmp_path: Path) -> None:
    """In another thread, too."""
    with RemoteHost(testbed.machines()[ROOT]) as host:
        process = host.start(["sleep", "600"], log=tmp_path / "log", talks=True)
        [keeper] = keepers(testbed, ROOT)
        threading.Timer(0.5, os.kill, (keeper, signal.SIGKILL)).start()
        calls: list[Callable[[], Any]] = [
            lambda: process.wait(20),
            process.poll,
            lambda: process.hear(20),
            lambda: process.tell("x"),
            lambda: process.send_signal(signal.SIGTERM),
            lambda: host.run(["true"]),
            lambda: host.start(["true"], log=tmp_path / "log"),
            lambda: host.send(tmp_path),
            host.epoch_s,
        ]
        before = time.monotonic()
        for call in calls:
            with pytest.raises(UserError, match="the keeper of the run on ran"):
                call()
        assert time.monotonic() - before < 5
    with RemoteHost(testbed.machines()[ROOT]):
        pass


# clocks


def test_clocks_of_one_machine_agree(host: RemoteHost) -> None:
    offset = host.clock_offset()
    assert abs(offset.realtime_ns) < 3_000_000
    assert abs(offset.monotonic_ns) < 3_000_000
    assert 0 < offset.uncertainty_ns < 3_000_000
    assert abs(host.epoch_s() - time.time()) < 0.1


def test_clock_that_is_off_is_measured(testbed: Testbed) -> None:
    wrapper = testbed.root(ROOT) / "run/upfml/late-python"
    [library] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    wrapper.write_text(f'#!/bin/sh\nexport LD_PRELOAD={library} FAKETIME=-2.5s\nexec {PYTHON} "$@"\n')
    wrapper.chmod(0o755)
    with RemoteHost(testbed.machine(ROOT, python="/run/upfml/late-python")) as host:
        offset = host.clock_offset()
        assert abs(offset.realtime_ns + 2_500_000_000) < 3_000_000
        assert abs(host.epoch_s() + 2.5 - time.time()) < 0.1


# who is refused, and how


def test_host_key_that_has_changed_is_refused(testbed: Testbed, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    known = tmp_path / "known_hosts"
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    known.write_text(f"{ADDRESSES[ROOT]} {other}\n")
    said = refusal(testbed.machine(ROOT, known_hosts=known))
    fingerprint = subprocess.run(
        ["ssh-keygen", "-lf", testbed.root(ROOT) / "run/upfml/host_key"], capture_output=True, text=True
    ).stdout.split()[1]
    assert "has changed" in said
    assert fingerprint in said
    assert f"ssh-keygen -R {ADDRESSES[ROOT]} -f {known}" in said


def test_host_key_of_another_type_than_known_has_changed(testbed: Testbed, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "other"], check=True)
    known = tmp_path / "known_hosts"
    known.write_text(f"{ADDRESSES[ROOT]} {(tmp_path / 'other.pub').read_text()}")
    assert "has changed" in refusal(testbed.machine(ROOT, known_hosts=known))


def test_host_key_that_is_unknown_is_refused(testbed: Testbed, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.touch()
    said = refusal(testbed.machine(ROOT, known_hosts=known))
    assert "is unknown" in said
    assert f"ssh-keyscan -p 22 {ADDRESSES[ROOT]} >> {known}" in said
    assert f"cannot read {tmp_path / 'none'}" in refusal(testbed.machine(ROOT, known_hosts=tmp_path / "none"))


def test_the_remedy_for_an_unknown_host_key_works(testbed: Testbed, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    subprocess.run(f"ssh-keyscan -p 22 {ADDRESSES[ROOT]} >> {known}", shell=True, check=True, capture_output=True)
    with RemoteHost(testbed.machine(ROOT, known_hosts=known)):
        pass


def test_keys_and_users_that_are_not_let_in(testbed: Testbed, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    said = refusal(testbed.machine(ROOT, key=tmp_path / "other"))
    assert f"does not let root log in with the key {tmp_path / 'other'}" in said
    assert "does not let nobody-here log in" in refusal(testbed.machine(ROOT, user="nobody-here"))


def test_keys_that_cannot_be_used(testbed: Testbed, tmp_path: Path) -> None:
    assert "No such file" in refusal(testbed.machine(ROOT, key=tmp_path / "none"))
    assert "Is a directory" in refusal(testbed.machine(ROOT, key=tmp_path))
    (tmp_path / "text").write_text("hello")
    assert "is not a private key" in refusal(testbed.machine(ROOT, key=tmp_path / "text"))
    make_key(tmp_path / "locked", passphrase="open sesame")
    said = refusal(testbed.machine(ROOT, key=tmp_path / "locked"))
    assert "has a passphrase" in said
    assert f"ssh-add {tmp_path / 'locked'}" in said
    assert "open sesame" not in said


def test_key_of_an_agent_is_used(testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    machine = testbed.machine(ROOT, key=None)
    assert "ssh-agent does not run" in refusal(machine)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        assert until((tmp_path / "agent").exists)
        assert "ssh-agent holds none" in refusal(machine)
        subprocess.run(["ssh-add", "-q", testbed.key], check=True)
        with RemoteHost(machine) as host:
            assert host.run(["true"]).returncode == 0
    finally:
        agent.kill()
        agent.wait()


def test_user_who_may_not_become_root(testbed: Testbed) -> None:
    said = refusal(testbed.machine(USER, user=PLAIN_USER))
    assert f"does not let {PLAIN_USER} become root: sudo:" in said
    assert f"{PLAIN_USER} ALL=(root) NOPASSWD: ALL" in said


def test_login_shell_that_prints(testbed: Testbed) -> None:
    """It would be taken for what a command says."""
    printing = testbed.root(USER) / "run/upfml/home/.ssh/rc"
    printing.parent.mkdir()
    printing.write_text("echo welcome\n")
    try:
        assert "prints 'welcome' before any command" in refusal(testbed.machines()[USER])
    finally:
        printing.unlink()
        printing.parent.rmdir()


def test_machines_that_do_not_answer(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "start sshd there" in refusal(testbed.machine(ROOT, port=9))
    assert "not known here" in refusal(testbed.machine(ROOT, address="nowhere.invalid"))
    monkeypatch.setattr(connection, "CONNECT_PATIENCE_S", 1.0)
    testbed.link(ROOT, "down")
    try:
        assert "no answer in 1 s" in refusal(testbed.machines()[ROOT])
    finally:
        testbed.link(ROOT, "up")


def test_interpreters_that_will_not_do(testbed: Testbed) -> None:
    for role in (ROOT, USER):
        assert "there is no Python at /no/python" in refusal(testbed.machine(role, python="/no/python"))
    wrapper = testbed.root(ROOT) / "run/upfml/wrapped-python"
    wrapper.write_text(f'#!/bin/sh\n{PYTHON} "$@"\nexit 0\n')
    wrapper.chmod(0o755)
    assert "not the first of a PID namespace" in refusal(testbed.machine(ROOT, python="/run/upfml/wrapped-python"))


def test_no_secret_is_written(testbed: Testbed, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = testbed.key.read_text().splitlines()[2].encode()
    with RemoteHost(testbed.machines()[USER]) as host:
        host.start(["env"], log=tmp_path / "log").wait(5)
        there = [path for path in testbed.folder(USER).rglob("*") if path.is_file()]
        assert len(there) > 50
        for path in there:
            assert secret not in path.read_bytes(), path
    assert secret not in (tmp_path / "log").read_bytes()
    assert secret.decode() not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith("asyncssh")]


# provision's runner


@pytest.fixture(params=[ROOT, USER])
def runner(request: pytest.FixtureRequest, testbed: Testbed) -> Iterator[MachineRunner]:
    made = MachineRunner(testbed.machines()[request.param])
    yield made
    made.close()


def test_runner_runs_as_root(runner: MachineRunner) -> None:
    done = runner(["sh", "-c", 'id -u; echo "$1" >&2; exit 4', "sh", "two  words '"])
    assert (done.returncode, done.stdout, done.stderr) == (4, "0\n", "two  words '\n")
    assert runner(["nothing-like-this"]).returncode == NOT_FOUND


def test_runner_does_not_wait_for_ever(runner: MachineRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "RUN_PATIENCE_S", 1.0)
    number = str(next(_numbers))
    done = runner(["sleep", number])
    assert done.returncode == NO_ANSWER
    assert "no answer" in done.stderr
    assert until(lambda: not pids("sleep", number))


def test_runner_keeps_its_connection(testbed: Testbed) -> None:
    runner = MachineRunner(testbed.machines()[ROOT])
    first, second = (runner(["printenv", "SSH_CONNECTION"]).stdout for _ in range(2))
    runner.close()
    third = runner(["printenv", "SSH_CONNECTION"]).stdout
    runner.close()
    assert first == second != third
    assert first.startswith("10.213.77.")


def test_runner_says_why_it_cannot(testbed: Testbed) -> None:
    for machine in (testbed.machine(ROOT, port=9), testbed.machine(USER, user=PLAIN_USER)):
        done = MachineRunner(machine)(["true"])
        assert done.returncode == connection.NO_CONNECTION
        assert f"{machine.role} ({machine.address})" in done.stderr
        assert "remedy" in done.stderr


def test_connection_that_is_not_open_says_so(testbed: Testbed) -> None:
    with pytest.raises(UserError, match="no connection to ran"):
        Connection(testbed.machines()[ROOT]).run(["true"])
