"""Questions that are asked of the programs and of the runs, a module or a package each; each ends in a table.

It imports run, replay, traffic and what is below these.
"""
