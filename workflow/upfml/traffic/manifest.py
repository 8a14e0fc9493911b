"""What a generator knows of the flows that it made, as rows of tables.FLOWS."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from upfml.base import tables
from upfml.base.flowkey import FIVE_TUPLE, flow_id


def of_application(
    application: str, label: int, protocol: int, ends: Iterable[tuple[str, int, str, int]]
) -> pd.DataFrame:
    """tables.FLOWS: flows of one application, without a period of their own.

    `ends` are source, source port, destination and destination port of each on the uplink; repeated ones count once.
    """
    unique = dict.fromkeys(ends)
    table = pd.DataFrame([(*each, protocol) for each in unique], columns=FIVE_TUPLE)
    table["flow"] = [flow_id(*each, protocol) for each in unique]
    table = table.assign(label=label, application=application, period_ms=np.nan, payload_bytes=np.nan)
    return tables.typed(table, tables.FLOWS)
