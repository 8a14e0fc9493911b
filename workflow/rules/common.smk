# Names and paths that more than one stage uses.

from upfml import config as upfml_config
from upfml.errors import UserError

try:
    upfml_config.check(config)
except UserError as error:
    raise WorkflowError(str(error))

POINTS = list(upfml_config.points(config))
DEPLOYED_POINT = upfml_config.deployed_point(config)
ARMS = config["runs"]["arms"]
TRIALS = range(1, config["runs"]["trials"] + 1)
# Threads of a measured job. Snakemake cuts them to --cores, so that such a job shares the machine with no other.
ALL_CORES = 1024
RUN = "results/runs/{arm}/{point}/trial-{trial}"


wildcard_constraints:
    arm="none|collect|user|kernel",
    point=r"depth\d+-trees\d+",
    trial=r"\d+",


def section(*keys):
    """Parts of the configuration. A rule that takes them as a parameter runs again when they change."""
    return {key: config[key] for key in keys}


def run_files(name, arms=None):
    """A file of every run of the deployed point, of all arms or of some."""
    return expand(f"{RUN}/{name}", arm=arms or ARMS, point=DEPLOYED_POINT, trial=TRIALS)


def block_files(name):
    """A file of every arm in one block, with the wildcards point and trial left open."""
    return [f"{RUN}/{name}".replace("{arm}", arm) for arm in ARMS]
