"""Check every host of the test bed. In: config. Out: the findings as JSON, text and page; the text is printed, too.

What fails, fails in the next rule (provision.py): what was found is to be read.
"""

import logging

from upfml import provision
from upfml.glue import rule

with rule(snakemake):
    with provision.hosts(snakemake.params.config["testbed"]) as hosts:
        report = provision.check(hosts)
    logging.info("%s", report.text())
    report.write(snakemake.output.json, snakemake.output.text, snakemake.output.page)
