"""Does the forest generalise? It decides on scenarios that it was not trained on.

evaluation.py judges the decisions, and page.py tells the result.
"""
