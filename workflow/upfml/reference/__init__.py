"""The method once more in plain Python, written from the standards and the definitions: what every program must equal.

It is written to be read, not to be fast. No experiment runs through it; tests and studies compare with it.
It imports packets and model.
"""
