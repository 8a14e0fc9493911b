# What the traffic generators need: the encoded video, and the URLLC sender.


rule ladder:
    input:
        ancient(FIT),
    output:
        directory("results/traffic/ladder"),
    log:
        "results/logs/ladder.log",
    benchmark:
        "results/benchmarks/ladder.tsv"
    threads: 2
    params:
        code=code_of("ladder.py"),
        config=section(*(f"traffic.video.{key}" for key in ("ladder_mbit_s", "segment_s", "length_s"))),
    message:
        "Encoding the DASH ladder"
    script:
        "../scripts/ladder.py"


rule control:
    input:
        ancient(FIT),
    output:
        "results/traffic/control",
    log:
        "results/logs/control.log",
    params:
        code=code_of("control.py"),
    message:
        "Compiling the URLLC sender"
    script:
        "../scripts/control.py"
