"""The method once more in plain Python, from the standards and the definitions alone: what the programs must equal.

Written to be read, not to be fast: nothing of an experiment runs through it.
"""
