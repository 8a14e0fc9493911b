"""Where accuracy goes between scikit-learn on floats and the kernel as in the authors' code, all from one trace.

chains.py lists the causes and the chains from packets to a class. arithmetic.py computes features under each clock and
arithmetic, forest.py decides with integer thresholds and votes. study.py measures each cause, page.py prints that.
"""
