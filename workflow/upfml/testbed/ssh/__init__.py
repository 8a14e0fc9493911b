"""A test bed of the user's own machines, reached over SSH: connections, files and processes there, and what ends them.

keeper.py runs on a remote machine. It ends what a run had started there when the connection is gone.
"""
