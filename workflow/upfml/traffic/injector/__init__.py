"""Packets at any rate through the live UPF, for studies of load and saturation.

schedule.py says who sends when, generator.py sends, and bed.py is the test bed that takes the packets.
"""
