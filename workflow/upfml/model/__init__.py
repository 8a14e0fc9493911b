"""Models: the kinds that can be trained, training, voting, and conversion to C for user space and for the kernel.

It imports base, bpf and packets.
"""
