"""Studies: each is a module or package that answers one question about the programs or runs, in a table or JSON file.

It imports base, arms, bpf, packets, model, reference, classify, testbed, traffic, replay and run.
"""
