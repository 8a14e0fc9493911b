# The raw readings of mpstat, pidstat and /proc/stat as one table a batch.


rule sample:
    input:
        f"{BATCH}/sampling",
    output:
        f"{BATCH}/samples.parquet",
    log:
        "results/logs/sample-{point}-{batch}.log",
    params:
        code=code_of("sample.py"),
    message:
        "Reading the samples of batch {wildcards.batch}"
    script:
        "../scripts/sample.py"
