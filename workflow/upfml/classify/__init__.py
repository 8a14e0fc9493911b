"""The arms that turn packets into decisions, and the collector.

kernel.py classifies in the kernel. The collector (collector.py) feeds two classifiers in user space: user.py in Python
and native.py in C. afxdp.py moves packets and classifier to user space.

It imports base, bpf, packets and model.
"""
