"""Measured runs: traces, which one arm records, and trials, in which all arms take turns on the same traffic.

The agent (agent.py) is the process on the UPF that loads an arm; agentprocess.py starts and tells it. The meter samples
the machine beside it. It imports base, arms, bpf, packets, classify, testbed, provision and traffic.
"""
