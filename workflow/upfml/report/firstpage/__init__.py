"""The report's opening page, for a reader who reads nothing else: the question, the findings, how sure they are."""
