"""From tables to answers: metrics, comparison with the paper, pages, figures, the archive, and tables of the manual.

This package reads what a run has written. It measures nothing. It imports base, arms, packets, model and studies.
"""
