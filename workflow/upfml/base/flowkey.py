"""The name of a flow: the inner 5-tuple, written the same by generators, collector and classifiers."""

TCP, UDP = 6, 17

FIVE_TUPLE = ["src", "src_port", "dst", "dst_port", "protocol"]
"""Its columns in tables, in the order of flow_id's arguments."""


def flow_id(src: str, src_port: int, dst: str, dst_port: int, protocol: int) -> str:
    """The 5-tuple as text, e.g. `10.60.0.1:80>10.70.0.1:41234/6` (IPv6 addresses in brackets)."""
    left, right = (f"[{address}]" if ":" in address else address for address in (src, dst))
    return f"{left}:{src_port}>{right}:{dst_port}/{protocol}"
