"""From tables to answers: metrics, the comparison with the paper, pages, figures, the archive and tables of the manual.

It reads what a run has written and measures nothing. It imports base, arms, packets, model and studies.
"""
