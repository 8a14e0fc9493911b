"""The measured runs: an agent on the UPF, the meter beside it, and the trials in which arms take turns.

It imports traffic, testbed, provision and what is below these.
"""
