"""What turns packets into decisions: the collector, and the classifiers in the kernel and in user space.

kernel.py classifies in the kernel. The collector (collector.py) feeds those in user space: user.py in Python, native.py
in C. afxdp.py has packets and classifier in user space. It imports base, bpf, packets and model.
"""
