# The experiment in the order in which data flows; every stage is a file in workflow/rules.


from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/reporting.smk"
include: "workflow/rules/provision.smk"
include: "workflow/rules/testbed.smk"
include: "workflow/rules/traffic.smk"
include: "workflow/rules/replay.smk" if config["replay"] else "workflow/rules/capture.smk"
include: "workflow/rules/windows.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/convert.smk"
include: "workflow/rules/timer.smk"
include: "workflow/rules/classify.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/sweep.smk"
include: "workflow/rules/exactness.smk"
include: "workflow/rules/causes.smk"
include: "workflow/rules/generalise.smk"
include: "workflow/rules/flood.smk"
include: "workflow/rules/metrics.smk"
include: "workflow/rules/load.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/bench.smk"


if not config["replay"]:

    include: "workflow/rules/archive.smk"


# What `all` makes. With captures in place of the test bed: what needs no live run.
TARGETS = [rules.figure_sweep.output, rules.accuracy_causes.input, rules.exactness.output]
if not config["replay"]:

    report: "workflow/report/first_page.rst"

    TARGETS += [rules.figures.input, rules.report_pages.input, rules.generalise.input, rules.load.input]


rule all:
    default_target: True
    input:
        TARGETS,
