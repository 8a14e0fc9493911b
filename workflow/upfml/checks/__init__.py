"""Tests that take too long for the test suite: the parser on random packets, and every program in other kernels.

It imports base, bpf, packets, model, reference, classify, testbed, replay and studies.
"""
