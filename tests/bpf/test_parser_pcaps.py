"""The in-kernel parser against tshark, which knows nothing of this project, on public captures and on frames made here.

No packet is left out: where the kernel finds a flow, all its fields are tshark's; where it does not, tshark sees the
same reason (`REASONS`). On the same frames kernel and reference agree in every field.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.bpf.test_parser import CUT, FLOW_FRAMES, OTHER_FRAMES
from tests.captures import write_pcap

from upfml.base.flowkey import TCP, UDP
from upfml.bpf.testrun import one_cpu
from upfml.checks.fuzz.compare import KernelParser, expected
from upfml.checks.fuzz.run import captured
from upfml.reference import parser
from upfml.reference.parser import Packet

CAPTURES = Path(__file__).parents[3] / "shared" / "pcaps"
OUTCOMES = {
    "gtp-u.pcap": {"inner_no_ports": 102},  # ICMP
    "gtp.pcap": {"not_gtpu": 1, "flow": 3, "inner_no_ports": 3},  # the first is GTP-C
    "gtp10_not_0xff.pcap": {"gtpu_not_gpdu": 3},
    "gtp1_gn_normal_incl_fragmentation.pcap": {"flow": 72, "outer_fragment": 36},
    "gtp6_gtp_0x32.pcap": {"flow": 31},
    "gtp7_ipv6.pcap": {"flow": 1, "inner_no_ports": 1},
    "gtp9_unknown_or_too_short_payload.pcap": {"flow": 11, "outer_fragment": 7, "inner_not_ip": 1},
    "gtp_ext_header.pcap": {"flow": 1, "outer_fragment": 1},
}
GPDU, END_MARKER, GTPU_PORT = "0xff", "0xfe", "2152"

# As the packet itself has it: no reassembly of IP or TCP, no meaning for a length of zero (offloads).
PREFERENCES = (
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "ip.tso_support:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
)
FIELDS = (
    "frame.protocols",
    "gtp.flags.version",
    "gtp.flags.payload",
    "gtp.message",
    "gtp.teid",
    "gtp.ext_hdr",
    "gtp.ext_hdr.length",
    "gtp.ext_hdr.pdu_ses_con.qos_flow_id",
    "vlan.id",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.len",
    "ip.frag_offset",
    "ip.flags.mf",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.plen",
    "ipv6.fraghdr.offset",
    "ipv6.fraghdr.more",
    "udp.srcport",
    "udp.dstport",
    "udp.checksum",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "tcp.window_size_value",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.hdr_len",
    "tcp.urgent_pointer",
    "_ws.short",
    "_ws.malformed",
    "_ws.expert.message",
)


IP_VERSIONS = ("ip", "ipv6")
IPV6_EXTENSIONS = ("ipv6.hopopts", "ipv6.dstopts", "ipv6.routing", "ipv6.fraghdr", "ah")
LAST_FIELD = {"tcp": "tcp.urgent_pointer", "udp": "udp.checksum"}
VLAN_TAGS = ("vlan", "ieee8021ad")


class View:
    """A frame as tshark sees it: values of FIELDS, and the protocols before and behind (the first) GTP-U."""

    def __init__(self, line: str) -> None:
        pairs = zip(FIELDS, line.split("\t"), strict=True)
        self.values = {name: value.split("|") if value else [] for name, value in pairs}
        protocols = self.values["frame.protocols"][0].split(":")
        gtpu = protocols.index("gtp") if "gtp" in protocols else len(protocols)
        self.outer, self.behind = protocols[:gtpu], protocols[gtpu + 1 :]
        self.is_gtpu = gtpu < len(protocols)
        self.is_malformed = bool(self.values["_ws.malformed"])
        self.is_bogus = any("Bogus" in message for message in self.values["_ws.expert.message"])

    @property
    def is_gpdu(self) -> bool:
        """Version 1, GTP rather than GTP', user data."""
        is_gtpu = (self.values["gtp.flags.version"], self.values["gtp.flags.payload"]) == (["1"], ["1"])
        return is_gtpu and self.values["gtp.message"][0] == GPDU

    @property
    def inner(self) -> list[str]:
        """The inner packet's protocols down to the transport; not what an ICMP error quotes or a tunnel in it holds."""
        if not self.behind or self.behind[0] not in IP_VERSIONS:
            return []
        headers = 1
        while headers < len(self.behind) and self.behind[headers] in IPV6_EXTENSIONS:
            headers += 1
        return self.behind[: headers + 1]

    def packet(self) -> Packet | None:
        """The packet, if the headers down to TCP or UDP are there, the last field of the latter included."""
        if not self.is_gpdu or not self.inner or self.inner[-1] not in LAST_FIELD:
            return None
        version, transport = self.inner[0], self.inner[-1]
        before = {name: self.outer.count(name) for name in (*IP_VERSIONS, *LAST_FIELD)}
        if len(self.values[LAST_FIELD[transport]]) <= before[transport]:
            return None

        def of_ip(field: str) -> str:
            return self.values[f"{version}.{field}"][before[version]]

        def port(field: str) -> int:
            return int(self.values[f"{transport}.{field}"][before[transport]])

        def of_tcp(field: str) -> int:
            return int(self.values[f"tcp.{field}"][0], 0) if transport == "tcp" else 0

        qfis = self.values["gtp.ext_hdr.pdu_ses_con.qos_flow_id"]
        return Packet(
            of_ip("src"),
            port("srcport"),
            of_ip("dst"),
            port("dstport"),
            TCP if transport == "tcp" else UDP,
            int(self.values["gtp.teid"][0], 0),
            int(qfis[-1]) if qfis else -1,
            int(of_ip("len")) if version == "ip" else 40 + int(of_ip("plen")),
            of_tcp("flags") & 0xFF,  # the reserved bits and AE before them are in no table
            of_tcp("window_size_value"),
            of_tcp("seq_raw"),
            of_tcp("ack_raw"),
            of_tcp("hdr_len"),
        )

    def fragment(self, protocols: list[str], ip_before: int, headers_before: int) -> tuple[bool, bool]:
        """Of the outer or inner packet: whether it is a first fragment, and whether a later one."""
        if "ip" in protocols:
            offset, more = self.values["ip.frag_offset"][ip_before], self.values["ip.flags.mf"][ip_before]
        elif "ipv6.fraghdr" in protocols:
            offset = self.values["ipv6.fraghdr.offset"][headers_before]
            more = self.values["ipv6.fraghdr.more"][headers_before]
        else:
            return False, False
        return offset == "0" and more == "1", offset != "0"

    @property
    def outer_ports(self) -> list[str]:
        return [self.values[field][0] for field in ("udp.srcport", "udp.dstport")]

    @property
    def outer_fragment(self) -> tuple[bool, bool]:
        return self.fragment(self.outer, 0, 0)

    @property
    def inner_fragment(self) -> tuple[bool, bool]:
        return self.fragment(self.inner, self.outer.count("ip"), self.outer.count("ipv6.fraghdr"))


def count(protocols: list[str], names: tuple[str, ...]) -> int:
    return sum(protocols.count(name) for name in names)


REASONS: dict[str, Callable[[View], bool]] = {
    "truncated": lambda view: bool(view.values["_ws.short"]),
    "outer_tags": lambda view: count(view.outer, VLAN_TAGS) > parser.VLAN_TAGS_MAX,
    "not_ip": lambda view: not count(view.outer, IP_VERSIONS),
    "outer_malformed": lambda view: view.is_bogus or (view.is_malformed and not view.is_gtpu),
    "outer_fragment": lambda view: view.outer_fragment == (False, True) and not view.is_gtpu,
    "outer_extensions": lambda view: count(view.outer, IPV6_EXTENSIONS) > parser.IPV6_EXTENSIONS_MAX,
    "not_udp": lambda view: bool(count(view.outer, IP_VERSIONS)) and "udp" not in view.outer,
    "not_gtpu": lambda view: "udp" in view.outer and GTPU_PORT not in view.outer_ports,
    "gtpu_malformed": lambda view: view.is_gtpu and view.is_malformed and not view.inner,
    "gtpu_version": lambda view: view.values["gtp.flags.version"] != ["1"] or view.values["gtp.flags.payload"] != ["1"],
    "gtpu_end_marker": lambda view: view.values["gtp.message"] == [END_MARKER],
    "gtpu_not_gpdu": lambda view: view.is_gtpu and view.values["gtp.message"][0] not in (GPDU, END_MARKER),
    "gtpu_extensions": lambda view: (
        len(view.values["gtp.ext_hdr"]) > parser.GTPU_EXTENSIONS_MAX or "0" in view.values["gtp.ext_hdr.length"]
    ),
    "inner_not_ip": lambda view: view.is_gpdu and not view.inner,
    # tshark takes an empty T-PDU, or one of IPv4 with a header length below 20, for no IP at all.
    "inner_malformed": lambda view: view.is_gpdu and (view.is_malformed or not view.inner),
    "inner_fragment": lambda view: view.inner_fragment == (False, True),
    "inner_extensions": lambda view: count(view.inner, IPV6_EXTENSIONS) > parser.IPV6_EXTENSIONS_MAX,
    "inner_no_ports": lambda view: view.is_gpdu and bool(view.inner) and view.inner[-1] not in LAST_FIELD,
}
"""What tshark must see in a packet that the kernel does not follow. It sets no limits: it counts the headers."""

LIMITS = {"outer_tags", "outer_extensions", "gtpu_extensions", "inner_extensions"}
"""Here tshark goes on to a flow all the same."""


def views(capture: Path) -> list[View]:
    """What tshark makes of each packet."""
    command = ["tshark", "-r", str(capture), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|"]
    command += [word for preference in PREFERENCES for word in ("-o", preference)]
    command += [word for field in FIELDS for word in ("-e", field)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return [View(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelParser]:
    with one_cpu():
        the_kernel = KernelParser()
        yield the_kernel


def compare(kernel: KernelParser, capture: Path) -> Counter[str]:
    """Kernel against tshark and against the reference on every packet: the outcomes."""
    outcomes = Counter[str]()
    for number, (frame, view) in enumerate(zip(captured([capture]), views(capture), strict=True), 1):
        where = f"packet {number} of {capture.name}"
        parsed = parser.parse(frame)
        verdict = kernel([frame])
        assert verdict == expected([parsed]), where
        (outcome,) = verdict.counters.keys() - {"outer_first_fragment", "inner_first_fragment"}
        outcomes[outcome] += 1
        if outcome == "flow":
            assert verdict.packets[0] == view.packet(), where
            first = {"outer_first_fragment": view.outer_fragment, "inner_first_fragment": view.inner_fragment}
            assert verdict.counters.keys() - {"flow"} == {name for name, (is_first, _) in first.items() if is_first}
            assert not view.outer_fragment[1] and not view.inner_fragment[1], where
        else:
            assert REASONS[outcome](view), f"{where}: {outcome}, {view.values}"
            if outcome not in LIMITS:
                assert view.is_bogus or view.packet() is None, f"{where}: {outcome}"
    return outcomes


def test_every_outcome_but_flow_has_a_reason_of_tshark_s() -> None:
    assert set(REASONS) == {outcome for outcome, _ in OTHER_FRAMES.values()} | {"truncated"}


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="../shared/pcaps, the public captures, are not there")
@pytest.mark.parametrize("name", OUTCOMES)
def test_public_capture(kernel: KernelParser, name: str) -> None:
    assert compare(kernel, CAPTURES / name) == OUTCOMES[name]


def test_frames_that_no_public_capture_has(kernel: KernelParser, tmp_path: Path) -> None:
    made = [("flow", frame) for frame in FLOW_FRAMES.values()] + list(OTHER_FRAMES.values())
    capture = write_pcap(tmp_path / "made.pcap", [(0, frame) for _, frame in made])
    assert compare(kernel, capture) == Counter(outcome for outcome, _ in made)


def test_frames_cut_by_the_snapshot_length(kernel: KernelParser, tmp_path: Path) -> None:
    whole = write_pcap(tmp_path / "whole.pcap", [(0, FLOW_FRAMES[name]) for name in CUT])
    cuts = []
    for snapshot in range(15, 140, 7):
        cuts.append(tmp_path / f"{snapshot}.pcap")
        subprocess.run(["editcap", "-s", str(snapshot), whole, cuts[-1]], check=True)
    capture = tmp_path / "cut.pcap"
    subprocess.run(["mergecap", "-a", "-F", "pcap", "-w", capture, *cuts], check=True)
    outcomes = compare(kernel, capture)
    assert set(outcomes) == {"truncated", "flow"}
    assert outcomes.total() == len(CUT) * len(cuts)
