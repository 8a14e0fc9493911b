"""The Python side of the folder bpf/: programs are compiled, loaded, attached and run on test packets, events are read.

It also finds the kernel's headers and tries what a kernel can do. It imports base.
"""
