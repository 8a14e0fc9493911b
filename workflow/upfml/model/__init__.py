"""Models: kinds, training, baselines, voting, and the conversion to C for user space and for the kernel.

A model's size is a point of the sweep (points.py). It imports base, bpf and packets.
"""
