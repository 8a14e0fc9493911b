"""Load until something breaks: turns at more and more of it (turns.py), and what they say (breaks.py)."""
