"""From tables to answers: metrics, the comparison with the paper, pages, figures and the archive.

It imports studies and what is below.
"""
