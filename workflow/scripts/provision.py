"""Check every host of the test bed. In: config. Out: the findings as JSON and as a table, which is printed too."""

import logging

from upfml import provision
from upfml.glue import rule

with rule(snakemake):
    with provision.hosts(snakemake.params.config["testbed"]) as hosts:
        report = provision.check(hosts)
    logging.info("%s", report.text())
    report.raise_if_failed()
    report.write(snakemake.output.json, snakemake.output.text)
