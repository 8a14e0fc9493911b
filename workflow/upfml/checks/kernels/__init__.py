"""Other kernels than the running one: Debian's, booted in QEMU (software emulation), which load and run every program.

The host compiles (plan.py, carry.py), gets the kernels (images.py), boots them (machine.py) and judges (judge.py);
guest.py is what runs in them. `upfml kernels` does it all (matrix.py). Times under emulation say
nothing about speed.
"""
