"""Machine-learning traffic classification in the kernel of a 5G user plane: the experiment's logic.

One module a stage; a stage knows the tables that it reads and writes (tables.py), not the stage before it.
"""

__version__ = "0.2.0"
