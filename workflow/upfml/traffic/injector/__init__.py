"""Packets at any rate through the live UPF: their source (generator.py) and the test bed that takes them (bed.py)."""
