"""Questions to the programs and to the runs. Each is a module or a package here, and ends in a table or a JSON file.

It imports base, arms, bpf, packets, model, reference, classify, testbed, traffic, replay and run.
"""
