"""Where the experiment runs: hosts, and the network between them. Nobody else knows namespaces, devices or connections.

bed.py says what any test bed gives; namespaces.py is the one on this machine, ssh/ the one on three machines of the
user's. It imports base, bpf, reference and classify.
"""
