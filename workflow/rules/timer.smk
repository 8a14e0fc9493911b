# What reading the clock costs, which is in every time that is measured.


rule timer:
    input:
        "results/provision.json",
    output:
        "results/timer.json",
    log:
        "results/logs/timer.log",
    threads: ALL_CORES
    message:
        "Timing the clock"
    script:
        "../scripts/timer.py"
