"""The arms against each other: rows.py compares, goal.py asks whether a kernel arm is cheap, page.py prints both."""
