"""Tests that are too long for the test suite: the parser against random packets, every program in other kernels.

It imports studies and what is below.
"""
