"""Further applications: what is asked of each tool, and the flows that its own log tells."""

from pathlib import Path

import numpy as np
import pytest

from upfml.base import tables
from upfml.base.classes import EMBB, NEITHER
from upfml.testbed.host import LocalHost
from upfml.traffic import download, gaming, telemetry, voice
from upfml.traffic.application import Place

UE, DN = "10.60.0.1", "10.70.0.1"

# Written by nginx 1.22.1, mosquitto 2.0.11 and ITGDec 2.8.1.
ACCESS_LOG = """\
1795472321.004 10.60.0.1 51874 1 /file?rate=2064937&again=1 5000253 2.421
1795472321.480 10.60.0.1 51876 2 /file?rate=1500000&again=1 1200128 2.896
"""
BROKER_LOG = """\
1795471674: mosquitto version 2.0.11 running
1795471674: New connection from 10.60.0.1:41585 on port 1883.
1795471674: New client connected from 10.60.0.1:41585 as sensor-1 (p2, c1, k60).
1795471679: Client sensor-1 closed its connection.
"""
ITGDEC = """\
ITGDec version 2.8.1 (r1023)
Compile-time options: sctp dccp bursty multiport
----------------------------------------------------------
Flow number: 1
From 10.60.0.1:46817
To    10.70.0.1:5401
----------------------------------------------------------
Total time               =      9.998 s
----------------------------------------------------------
Flow number: 2
From 10.60.0.1:38692
To    10.70.0.1:5402
----------------------------------------------------------
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    hosts = {role: LocalHost(role) for role in ("ran", "dn")}
    return Place(hosts, UE, DN, tmp_path, seed=1, duration_s=5)


def test_downloads_are_embb_flows_from_the_ue() -> None:
    flows = tables.FLOWS.validate(download.flows(ACCESS_LOG, DN))
    assert flows["flow"].tolist() == ["10.60.0.1:51874>10.70.0.1:8080/6", "10.60.0.1:51876>10.70.0.1:8080/6"]
    assert (flows["label"] == EMBB).all()


def test_sensors_and_players_are_of_neither_class() -> None:
    sensors = tables.FLOWS.validate(telemetry.flows(BROKER_LOG, DN))
    players = tables.FLOWS.validate(gaming.flows(ITGDEC))
    assert sensors["flow"].tolist() == ["10.60.0.1:41585>10.70.0.1:1883/6"]
    assert players["flow"].tolist() == ["10.60.0.1:46817>10.70.0.1:5401/17", "10.60.0.1:38692>10.70.0.1:5402/17"]
    assert set(sensors["label"]) == set(players["label"]) == {NEITHER}


@pytest.mark.parametrize("flows", [download.flows("", DN), telemetry.flows("", DN), gaming.flows("")])
def test_empty_logs_give_empty_tables(flows: object) -> None:
    assert tables.FLOWS.validate(flows).empty  # type: ignore[arg-type]


def test_each_client_downloads_at_its_own_rate(place: Place) -> None:
    settings = {"clients": 3, "rate_mbit_s": [2, 20], "file_mbyte": 0.5}
    server, *clients = download.Download(settings, place).programs()
    assert (server.on, {client.on for client in clients}) == ("dn", {"ran"})
    rates = [int(client.command[-1].split("rate=")[1].split("&")[0]) for client in clients]
    assert len(set(rates)) == 3 and all(2e6 / 8 <= rate <= 20e6 / 8 for rate in rates)
    assert (place.workdir / download.SERVER / "file").stat().st_size == 500_000
    assert "limit_rate $arg_rate" in (place.workdir / download.SERVER / "nginx.conf").read_text()


def test_every_player_has_a_port_a_model_and_a_seed(place: Place) -> None:
    lines = gaming.script({"players": {"Quake3": 2, "CSa": 1}, "first_port": 5401}, place).splitlines()
    assert [line.split()[-1] for line in lines] == ["Quake3", "Quake3", "CSa"]
    assert [line.split("-rp ")[1].split()[0] for line in lines] == ["5401", "5402", "5403"]
    seeds = [float(line.split("-s ")[1].split()[0]) for line in lines]
    assert len(set(seeds)) == 3 and all(0 <= seed < 1 for seed in seeds)


def test_a_call_has_both_ends_and_one_flow_on_the_uplink(place: Place) -> None:
    calls = voice.Voice({"calls": 2, "first_port": 5601, "bitrate_kbit_s": 24}, place)
    programs = calls.programs()
    assert [program.name for program in programs] == ["voice-1-dn", "voice-1-ran", "voice-2-dn", "voice-2-ran"]
    assert {"dtx=true", "bitrate=24000", f"host={DN}", "bind-port=5601"} <= set(programs[1].command)
    assert calls.flows()["flow"].tolist() == ["10.60.0.1:5601>10.70.0.1:5602/17", "10.60.0.1:5603>10.70.0.1:5604/17"]


def test_people_talk_and_pause_as_p59_says() -> None:
    sound = voice.speech(np.random.default_rng(1), 2000)
    assert len(sound) >= 2000 * voice.SAMPLES_PER_S
    assert np.abs(sound).max() <= 1
    whole = len(sound) // 160 * 160
    heard = np.abs(sound[:whole]).reshape(-1, 160).max(axis=1) > 0  # in pieces of 10 ms
    # Some 770 talk spurts and pauses: their shares come within a few points.
    assert heard.mean() == pytest.approx(voice.TALK_S / (voice.TALK_S + voice.PAUSE_S), abs=0.04)


def test_the_same_seed_gives_the_same_sound_and_rates(place: Place) -> None:
    one, other = (voice.speech(np.random.default_rng(2), 10) for _ in range(2))
    assert (one == other).all()
    settings = {"sensors": 4, "interval_s": [0.05, 1], "payload_bytes": 64}
    commands = [[program.command for program in telemetry.Telemetry(settings, place).programs()] for _ in range(2)]
    assert commands[0] == commands[1]
