"""Benchmarks: what the choices of this project cost, as ratios within one run.

Each module has `measure`, which returns a table: inference by engine, a packet's path, delivery, the lock on a flow,
replay, and the rate at saturation. programs.py loads what they time.
"""
