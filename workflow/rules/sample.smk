# The raw readings of mpstat, pidstat, /proc/stat and psutil as one table a run.


rule sample:
    input:
        f"{RUN}/sampling",
    output:
        f"{RUN}/samples.parquet",
    log:
        "results/logs/sample-{arm}-{point}-{trial}.log",
    message:
        "Reading the samples of {wildcards.arm}, trial {wildcards.trial}"
    script:
        "../scripts/sample.py"
