# What the traffic generators need: the encoded video, and the URLLC sender.


rule ladder:
    input:
        "results/provision.json",
    output:
        directory("results/traffic/ladder"),
    params:
        video=config["traffic"]["video"],
    log:
        "results/logs/ladder.log",
    message:
        "Encoding the DASH ladder"
    threads: 2
    script:
        "../scripts/ladder.py"


rule control:
    input:
        "results/provision.json",
    output:
        "results/traffic/control",
    log:
        "results/logs/control.log",
    message:
        "Compiling the URLLC sender"
    script:
        "../scripts/control.py"
