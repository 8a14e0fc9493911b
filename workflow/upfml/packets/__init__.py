"""Packets, and what is computed from them: capture files, frames, windows, and the definition of the features.

It imports base and bpf.
"""
