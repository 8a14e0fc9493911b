"""Load, until something breaks: more packets, more flows, or shorter periods.

loads.py lists the loads, turns.py runs every arm at each, and breaks.py finds where each arm breaks.
"""
