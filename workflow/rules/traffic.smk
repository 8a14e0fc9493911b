# What the traffic generators need: the encoded video, and the URLLC sender.

import os


rule ladder:
    input:
        FIT,
    output:
        directory("results/traffic/ladder"),
    log:
        "results/logs/ladder.log",
    benchmark:
        "results/benchmarks/ladder.tsv"
    threads: 2
    params:
        video=config["traffic"]["video"],
    message:
        "Encoding the DASH ladder"
    script:
        "../scripts/ladder.py"


rule control:
    input:
        FIT,
        source=os.path.join(os.path.dirname(upfml_config.__file__), "traffic/control.c"),
    output:
        "results/traffic/control",
    log:
        "results/logs/control.log",
    message:
        "Compiling the URLLC sender"
    script:
        "../scripts/control.py"
