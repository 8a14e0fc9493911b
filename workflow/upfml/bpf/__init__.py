"""The Python side of the folder bpf/: compiles, loads and attaches programs, runs them on test packets, reads events.

It also finds the kernel's headers and tries what a kernel can do (abilities.py). No other room calls bpf(2) or
compiles with BCC. It imports base.
"""
