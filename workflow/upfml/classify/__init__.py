"""The classifiers: in the kernel (kernel.py), and in user space fed by the collector (user.py)."""
