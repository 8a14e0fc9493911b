"""Every number of the paper's evaluation beside ours.

comparison.py judges one of them, rows.py and beyond.py make them all, page.py prints them.
"""
