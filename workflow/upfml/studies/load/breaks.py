"""Where each arm breaks: the first value of a sweep, from light to heavy load, at which it loses more than it may.

An arm breaks where its median turn loses more than LIMIT_PCT of one of these:

- packets: sent, but not seen at the data network. What forwarding alone loses at that value is subtracted;
- events: made by the program, but never read;
- decisions: due by the schedule, but unknown to user space.

If the generator did not send a turn's packets in time, the turn says nothing and is left out.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from upfml.arms import NONE

LIMIT_PCT = 0.1
OFFERED_SHARE = 0.98
"""Share of the wanted packets that must be sent in time. A turn with less is left out."""
KINDS = ["packets", "events", "decisions"]
"""What can be lost."""
_SHARES = [f"{kind}_pct" for kind in KINDS]
UNITS = {"rate": "packets/s", "flows": "flows", "period": "ms"}
"""Unit of each sweep's values."""
LIGHTEST_LAST = {"period"}
"""Sweeps whose load grows as values fall."""


def losses(load: pd.DataFrame) -> pd.DataFrame:
    """Takes table load. A row for each turn that was offered: its columns, and the loss `KIND_pct` of each of KINDS.

    A share that has no meaning in an arm is NaN.
    """
    turns = load[load["packets_offered"] >= OFFERED_SHARE * load["packets_wanted"]]
    # A stray packet (ARP) may arrive beside those that were sent.
    dropped = (turns["packets_offered"] - turns["packets_forwarded"]).clip(lower=0)
    turns = turns.assign(packets_pct=100 * dropped / turns["packets_offered"])
    turns["events_pct"] = 100 * turns["events_lost"] / turns["events_made"].where(turns["events_made"] > 0)
    expected = turns["decisions_expected"].where(turns["decisions_expected"] > 0)
    turns["decisions_pct"] = 100 * (expected - turns["decisions_made"]).clip(lower=0) / expected
    of_value = ["sweep", "value"]
    forwarding = turns[turns["arm"] == NONE.name].groupby(of_value)["packets_pct"].median()
    alone = forwarding.reindex(pd.MultiIndex.from_frame(turns[of_value])).fillna(0.0).to_numpy()
    above = (turns["packets_pct"] - alone).clip(lower=0)
    turns["packets_pct"] = turns["packets_pct"].where(turns["arm"] == NONE.name, above)
    return turns


def medians(load: pd.DataFrame) -> pd.DataFrame:
    """Takes table load. A row for each sweep, value and arm: medians of all numbers, over the turns that were offered.

    `lost_pct` is the largest of the shares of KINDS. Rows of a sweep go from light to heavy load. Values at which no
    turn was offered have no row.
    """
    middle = losses(load).drop(columns=["turn", "xdp_mode"]).groupby(["sweep", "arm", "value"], as_index=False).median()
    middle["lost_pct"] = middle[_SHARES].max(axis=1)
    heavier = middle["value"].where(~middle["sweep"].isin(LIGHTEST_LAST), -middle["value"])
    return middle.loc[middle.assign(load=heavier).sort_values(["sweep", "arm", "load"]).index].reset_index(drop=True)


def find(load: pd.DataFrame) -> dict[str, Any]:
    """Takes table load. For each sweep and arm: the last value that held, the first that broke (or None), and by what.

    For each sweep also: what was not offered, and the arm that broke first. If several arms broke at the lightest load,
    it is the one that lost the largest share.
    """
    middle = medians(load)
    sweeps = {}
    for sweep in load["sweep"].unique():
        of_sweep = middle[middle["sweep"] == sweep]
        arms = {str(arm): _of_arm(values) for arm, values in of_sweep.groupby("arm", sort=False)}
        sweeps[sweep] = {
            "unit": UNITS[sweep],
            "first": _first(of_sweep),
            "arms": arms,
            "not_offered": _not_offered(load[load["sweep"] == sweep]),
        }
    return {"limit_pct": LIMIT_PCT, "offered_share": OFFERED_SHARE, "sweeps": sweeps}


def _of_arm(values: pd.DataFrame) -> dict[str, Any]:
    """`values` are an arm's rows of `medians` in a sweep."""
    broken = (values["lost_pct"] > LIMIT_PCT).to_numpy()
    at = int(broken.argmax()) if broken.any() else len(values)
    held = None if at == 0 else float(values["value"].iloc[at - 1])
    if at == len(values):
        return {"held": held, "broke": None, "by": None, "lost_pct": {}}
    row = values.iloc[at]
    lost = {kind: float(row[f"{kind}_pct"]) for kind in KINDS if pd.notna(row[f"{kind}_pct"])}
    return {"held": held, "broke": float(row["value"]), "by": max(lost, key=lambda kind: lost[kind]), "lost_pct": lost}


def _first(of_sweep: pd.DataFrame) -> str | None:
    """The arm that broke at the lightest load, among those that classify or collect."""
    broken = of_sweep[(of_sweep["lost_pct"] > LIMIT_PCT) & (of_sweep["arm"] != NONE.name)]
    if broken.empty:
        return None
    lightest = broken["wanted_packets_per_s"].min(), broken["flows"].min()
    at_it = broken[(broken["wanted_packets_per_s"] == lightest[0]) & (broken["flows"] == lightest[1])]
    return str(at_it.loc[at_it["lost_pct"].idxmax(), "arm"])


def _not_offered(of_sweep: pd.DataFrame) -> list[dict[str, Any]]:
    """The values and arms with turns that were left out, and the median share of packets sent in time."""
    share = of_sweep["packets_offered"] / of_sweep["packets_wanted"]
    late = of_sweep.assign(share=share)[share < OFFERED_SHARE]
    counted = late.groupby(["value", "arm"], as_index=False).agg(
        turns=("turn", "size"), offered_share=("share", "median")
    )
    return [dict(zip(counted.columns, row, strict=True)) for row in counted.itertuples(index=False)]
