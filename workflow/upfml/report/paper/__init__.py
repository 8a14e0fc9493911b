"""Every number of the paper's evaluation beside ours.

comparison.py judges one number. rows.py makes the rows of the paper's numbers, beyond.py those of further ones. page.py
prints them all.
"""
