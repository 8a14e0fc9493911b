# What reading the clock costs, which is in every time that is measured.


rule timer:
    input:
        ancient(FIT),
    output:
        "results/timer.json",
    log:
        "results/logs/timer.log",
    threads: ALL_CORES
    params:
        code=code_of("timer.py"),
        testbed=THE_UPF,
        script="timer.py",
    message:
        "Timing the clock"
    script:
        "../scripts/on_upf.py"
