"""The report's opening page: what was asked, what was found, how sure. For a reader who reads nothing else."""
