# Names and paths that more than one stage uses.

import json
from pathlib import Path

# Snakemake finds upfml beside workflow/Snakefile. While the workflow is read, only modules are imported that need no more
# than Snakemake itself brings: so that it can be listed, planned and linted without .venv.
from upfml import config as upfml_config
from upfml.arms import Arms
from upfml.base import sourcecode
from upfml.base.errors import UserError
from upfml.model import points as upfml_points

try:
    upfml_config.check(config)
except UserError as error:
    raise WorkflowError(str(error))
config.update(upfml_config.normalised(config))

# The clone. `workflow.basedir` is another folder when workflow/Snakefile is named on the command line.
PROJECT = str(Path(upfml_config.__file__).parents[2])
POINTS = upfml_points.points(config["model"])
DEPLOYED_POINT = upfml_points.deployed_point(config["model"])
# Threads of a measured job. Snakemake cuts them to --cores, so that such a job shares the machine with no other.
ALL_CORES = 1024
BATCH = "results/runs/{point}/batch-{batch}"
SCENARIOS = upfml_config.scenarios(config)
TRAFFIC_OF_TRIALS = upfml_config.traffic_of_trials(config)
SCENARIO = "results/generalise/{scenario}"


wildcard_constraints:
    point=r"depth\d+-trees\d+",
    batch=r"\d+",
    scenario=r"[a-z0-9-]+",


def section(*keys):
    """Parts of the configuration (upfml.config.part). A rule that takes them as a parameter runs again when they change."""
    return upfml_config.part(config, *keys)


UNUSED = upfml_config.unused_code(config)
# The same of a stage that only keeps packets, and of one that tries every engine.
UNUSED_BY_TRACES = UNUSED + upfml_config.CLASSIFIERS
UNUSED_BY_ENGINES = upfml_config.unused_code(config, every_engine=True)


def code_of(script, unused=UNUSED):
    """The hash of a script's code, with what it imports and the C that this compiles (upfml/base/sourcecode.py).

    Each rule takes that of its script as a parameter, so that it runs again when that code changes.
    """
    return sourcecode.of(script, unused)


def delay(arms):
    """The section `delivery`, if one of the arms uses it."""
    return section("delivery") if any(arm.by == "batched" for arm in Arms.of(arms)) else {}


# Parameter `testbed` of on_upf.py, which runs a script where the UPF is, whose kernel and CPUs are measured.
THE_UPF = {key: config["testbed"][key] for key in ("kind", "machines") if key in config["testbed"]}


def first_batches(name):
    """A file of every batch that is run in any case."""
    return expand(f"{BATCH}/{name}", point=DEPLOYED_POINT, batch=range(1, config["runs"]["batches"]["first"] + 1))


def every_batch(pattern):
    """Input function: `pattern` for every batch of the deployed point, as many as the wanted interval needs."""

    def files(wildcards):
        with checkpoints.enough_trials.get().output[0].open() as enough:
            batches = json.load(enough)["batches"]
        return expand(pattern, point=DEPLOYED_POINT, batch=range(1, batches + 1))

    return files


def run_files(name):
    """Input function: a file of every batch."""
    return every_batch(f"{BATCH}/{name}")


def scenario_section(scenario):
    """What the run of a scenario depends on: as `section`, of that scenario's configuration alone."""
    merged = SCENARIOS[scenario]
    lengths = {key: config["generalise"][key] for key in ("warmup_s", "duration_s")}
    keys = ("seed", "testbed", "traffic", "flow_table")
    return {**{key: merged[key] for key in keys}, "generalise": lengths}


def scenario_files(name):
    """A file of every scenario, in the order of the configuration."""
    return expand(f"{SCENARIO}/{name}", scenario=SCENARIOS)
