"""Runs on the test bed. One arm records a trace; in a trial all arms take turns on the same traffic.

The agent (agent.py) is the process on the UPF that loads an arm. agentprocess.py starts it and tells it what to do. The
meter (meter.py) measures the machine at the same time.

It imports base, arms, bpf, packets, classify, testbed, provision and traffic.
"""
