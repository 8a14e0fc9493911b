"""The generated parts of the manual in docs/: some come from code and schemas at build, others from a finished run.

`configuration`, `outputs` and `window` make text and a picture whenever MkDocs builds the manual (docs/hooks.py).
`run` makes tables of a finished run. `make pictures` writes them between markers in README.md and docs/ (`blocks`).
"""
