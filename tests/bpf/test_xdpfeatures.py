"""What drivers say that they can do with XDP, beside what they do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyroute2 import IPRoute

from upfml.bpf import xdpfeatures
from upfml.bpf.xdpfeatures import BASIC, FEATURES, driver, features

DEVICE = "upfmlfeat0"


@pytest.fixture
def veth() -> Iterator[str]:
    with IPRoute() as ip:
        ip.link("add", ifname=DEVICE, kind="veth", peer="upfmlfeat1")
        yield DEVICE
        ip.link("del", ifname=DEVICE)


def test_veth_has_native_xdp_and_the_loopback_device_has_not(veth: str) -> None:
    if (found := features(veth)) is None:
        pytest.skip("this kernel does not tell: Linux 6.3 and later do")
    assert BASIC in found and set(found) <= set(FEATURES)
    assert features("lo") == []


def test_kernel_that_does_not_tell_is_no_error(veth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xdpfeatures, "FAMILY", "no-such-family")
    assert features(veth) is None


def test_virtual_device_has_its_kind_for_a_driver(veth: str) -> None:
    assert driver(veth) == "veth"


def test_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError):
        features("upfmlnone0")
