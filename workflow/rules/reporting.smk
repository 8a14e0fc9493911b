# How figures and pages enter the report, and runs the archive.

from upfml.base import provenance as upfml_provenance
from upfml.report import drawings as upfml_drawings

# The report's categories, in the order of the story. Snakemake sorts them by name: hence the numbers.
STORY = [
    "The answer",
    "Traffic",
    "Classification",
    "Cost",
    "Load",
    "Model size",
    "Exactness",
    "Benchmark",
    "Provenance",
]


def category(name):
    """One of STORY as the report names it."""
    return f"{STORY.index(name) + 1}. {name}"


def figure_files(name, title, story):
    """The output of a figure's rule: figures/NAME.pdf and .png, one line of the report in the category `story`.

    The report makes a switch of a label that has two values in a category: the first in the alphabet is shown first.
    """
    formats = {"pdf": "print (PDF)", "png": "image (PNG)"}
    return {
        suffix: report(
            f"figures/{name}.{suffix}",
            caption=f"../report/{name}.rst",
            category=category(story),
            labels={"figure": title, "format": words},
        )
        for suffix, words in formats.items()
    }


def page_file(name, title, story):
    """The output of a page's rule: results/NAME.html, a line of the report."""
    return report(
        f"results/{name}.html",
        caption=f"../report/{name}.rst",
        category=category(story),
        labels={"page": title},
    )


def drawings(wildcards):
    """Every figure of `all` with what it is drawn from (upfml.report.drawings.Drawing)."""
    figures = set(rules.figures.input)
    return [upfml_drawings.drawing(rule, wildcards) for rule in workflow.rules if figures & set(rule.output)]


def drawn_from(wildcards):
    """Every file that a figure is drawn from."""
    return upfml_drawings.tables_of(drawings(wildcards))


def made_by(wildcards, input):
    """The rule that makes each file; `report` is not one, but Snakemake itself."""
    makers = {path: [rule.name for rule in workflow.rules if rule.is_producer(path)] for path in input}
    return {path: (names or ["report"])[0] for path, names in makers.items()}


def run_records(wildcards):
    """The provenance of every run that the report shows, that of the training trace first."""
    return [
        "results/capture/provenance.json",
        *run_files("provenance.json")(wildcards),
        "results/exactness/live/provenance.json",
        *scenario_files("provenance.json"),
        "results/load/provenance.json",
    ]


def now(wildcards):
    """The code and the settings that each of these runs would have today, by a pattern of its path."""
    made = {
        "results/capture/*": CAPTURE,
        "results/runs/*": CLASSIFY,
        "results/exactness/*": EXACTNESS_RUN,
        **{
            f"{SCENARIO}/*".format(scenario=name): {"code": GENERALISE_RUN_CODE, "config": scenario_section(name)}
            for name in SCENARIOS
        },
        "results/load/*": LOAD,
    }
    return {
        pattern: {"code": of["code"], "config_sha256": upfml_provenance.config_sha256(of["config"])}
        for pattern, of in made.items()
    }
