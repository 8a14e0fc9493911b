# The figures, each from only what it needs; below them a short name for each.


rule figure_traffic:
    input:
        packets="results/capture/packets.parquet",
        flows="results/capture/flows.parquet",
        rungs="results/capture/rungs.parquet",
        loss="results/capture/loss.json",
        run="results/capture/run.json",
    output:
        **figure_files("traffic", "Traffic", "Traffic"),
    log:
        "results/logs/figure_traffic.log",
    params:
        code=code_of("figure_traffic.py"),
        note=config["note"],
        capture=config["capture"],
        n3_rate_mbit_s=config["testbed"]["n3_rate_mbit_s"],
    message:
        "Drawing the traffic"
    script:
        "../scripts/figure_traffic.py"


rule figure_accuracy:
    input:
        decisions=run_files("decisions.parquet"),
        turns=run_files("turns.parquet"),
        scores=f"results/train/{DEPLOYED_POINT}/scores.json",
        baselines="results/train/baselines.json",
    output:
        **figure_files("accuracy", "Accuracy", "Classification"),
    log:
        "results/logs/figure_accuracy.log",
    params:
        code=code_of("figure_accuracy.py"),
        note=config["note"],
        arms=config["arms"],
        window_ms=config["features"]["window_ms"],
    message:
        "Drawing accuracy"
    script:
        "../scripts/figure_accuracy.py"


rule figure_latency:
    input:
        decisions=run_files("decisions.parquet"),
        turns=run_files("turns.parquet"),
        timer="results/timer.json",
    output:
        **figure_files("latency", "Latency", "Classification"),
    log:
        "results/logs/figure_latency.log",
    params:
        code=code_of("figure_latency.py"),
        note=config["note"],
        arms=config["arms"],
        window_ms=config["features"]["window_ms"],
    message:
        "Drawing latency"
    script:
        "../scripts/figure_latency.py"


rule figure_cpu_usage:
    input:
        samples=run_files("samples.parquet"),
        turns=run_files("turns.parquet"),
        metrics="results/metrics.parquet",
    output:
        **figure_files("cpu_usage", "Figure 6: CPU usage", "Cost"),
    log:
        "results/logs/figure_cpu_usage.log",
    params:
        code=code_of("figure_cpu_usage.py"),
        note=config["note"],
        arms=config["arms"],
        window_ms=config["features"]["window_ms"],
    message:
        "Drawing CPU usage (figure 6)"
    script:
        "../scripts/figure_cpu_usage.py"


rule figure_context_switches:
    input:
        samples=run_files("samples.parquet"),
        turns=run_files("turns.parquet"),
    output:
        **figure_files("context_switches", "Figure 7: context switches", "Cost"),
    log:
        "results/logs/figure_context_switches.log",
    params:
        code=code_of("figure_context_switches.py"),
        note=config["note"],
        arms=config["arms"],
        window_ms=config["features"]["window_ms"],
    message:
        "Drawing context switches (figure 7)"
    script:
        "../scripts/figure_context_switches.py"


rule figure_sweep:
    input:
        "results/sweep/sweep.parquet",
    output:
        **figure_files("sweep", "Depth and number of trees", "Model size"),
    log:
        "results/logs/figure_sweep.log",
    params:
        code=code_of("figure_sweep.py"),
        note=config["note"],
        window_ms=config["features"]["window_ms"],
    message:
        "Drawing the sweep"
    script:
        "../scripts/figure_sweep.py"


rule figure_flow_table:
    input:
        "results/flood.parquet",
    output:
        **figure_files("flow_table", "A flood of flows", "Exactness"),
    log:
        "results/logs/figure_flow_table.log",
    params:
        code=code_of("figure_flow_table.py"),
        note=config["note"],
    message:
        "Drawing the flow table under a flood"
    script:
        "../scripts/figure_flow_table.py"


rule traffic:
    input:
        rules.figure_traffic.output,
    localrule: True


rule accuracy:
    input:
        rules.figure_accuracy.output,
    localrule: True


rule latency:
    input:
        rules.figure_latency.output,
    localrule: True


rule fig6:
    input:
        rules.figure_cpu_usage.output,
    localrule: True


rule fig7:
    input:
        rules.figure_context_switches.output,
    localrule: True


rule sweep:
    input:
        rules.figure_sweep.output,
    localrule: True


rule figures:
    input:
        rules.figure_traffic.output,
        rules.figure_accuracy.output,
        rules.figure_latency.output,
        rules.figure_cpu_usage.output,
        rules.figure_context_switches.output,
        rules.figure_sweep.output,
        rules.figure_accuracy_causes.output,
        rules.figure_flow_table.output,
        rules.figure_generalise.output,
        rules.figure_load_rate.output,
        rules.figure_load_flows.output,
        rules.figure_load_period.output,
    localrule: True
