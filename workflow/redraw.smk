# In an unpacked archive: every figure once more, from the tables in it, into redrawn/. Nothing is measured.

import json

from upfml.report.drawings import DRAWINGS

with open(DRAWINGS) as file:
    drawings = json.load(file)


def redrawn(drawing):
    return {name: path.replace("figures/", "redrawn/") for name, path in drawing["output"].items()}


rule all:
    default_target: True
    input:
        [path for drawing in drawings for path in redrawn(drawing).values()],
    localrule: True


for drawing in drawings:

    rule:
        name:
            drawing["rule"]
        input:
            *drawing["files"],
            **drawing["named"],
        output:
            **redrawn(drawing),
        log:
            f"redrawn/logs/{drawing['rule']}.log",
        params:
            **drawing["params"],
            script=drawing["script"],
        message:
            "Drawing {output} again"
        script:
            "scripts/{params.script}"
