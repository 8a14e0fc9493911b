"""What is generated of the manual in docs/: pages from code and schemas at build, numbers and tables from a run.

`configuration`, `outputs` and `window` make text and a picture whenever MkDocs builds the manual (docs/hooks.py).
`run` makes tables of a finished run, which `make pictures` writes between markers in README.md and docs/ (`blocks`).
"""
