"""Every program in other kernels than the running one: Debian's, booted in QEMU (software emulation).

The host compiles (plan.py, carry.py), gets the kernels (images.py), boots them (machine.py) and judges (judge.py).
guest.py runs in them. `upfml kernels` does it all (matrix.py). Times under emulation say nothing about speed.
"""
