# The figures, each from only what it needs; below them a short name for each.


rule figure_traffic:
    input:
        packets="results/capture/packets.parquet",
        flows="results/capture/flows.parquet",
        rungs="results/capture/rungs.parquet",
        loss="results/capture/loss.json",
    output:
        pdf=report(
            "figures/traffic.pdf",
            caption="../report/traffic.rst",
            category="Traffic",
            labels={"figure": "Traffic", "format": "PDF"},
        ),
        png=report(
            "figures/traffic.png",
            caption="../report/traffic.rst",
            category="Traffic",
            labels={"figure": "Traffic", "format": "PNG"},
        ),
    log:
        "results/logs/figure_traffic.log",
    params:
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
        pdf=report(
            "figures/accuracy.pdf",
            caption="../report/accuracy.rst",
            category="Classification",
            labels={"figure": "Accuracy", "format": "PDF"},
        ),
        png=report(
            "figures/accuracy.png",
            caption="../report/accuracy.rst",
            category="Classification",
            labels={"figure": "Accuracy", "format": "PNG"},
        ),
    log:
        "results/logs/figure_accuracy.log",
    params:
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
        pdf=report(
            "figures/latency.pdf",
            caption="../report/latency.rst",
            category="Classification",
            labels={"figure": "Latency", "format": "PDF"},
        ),
        png=report(
            "figures/latency.png",
            caption="../report/latency.rst",
            category="Classification",
            labels={"figure": "Latency", "format": "PNG"},
        ),
    log:
        "results/logs/figure_latency.log",
    params:
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
        pdf=report(
            "figures/cpu_usage.pdf",
            caption="../report/cpu_usage.rst",
            category="Cost",
            labels={"figure": "CPU usage (figure 6)", "format": "PDF"},
        ),
        png=report(
            "figures/cpu_usage.png",
            caption="../report/cpu_usage.rst",
            category="Cost",
            labels={"figure": "CPU usage (figure 6)", "format": "PNG"},
        ),
    log:
        "results/logs/figure_cpu_usage.log",
    params:
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
        pdf=report(
            "figures/context_switches.pdf",
            caption="../report/context_switches.rst",
            category="Cost",
            labels={"figure": "Context switches (figure 7)", "format": "PDF"},
        ),
        png=report(
            "figures/context_switches.png",
            caption="../report/context_switches.rst",
            category="Cost",
            labels={"figure": "Context switches (figure 7)", "format": "PNG"},
        ),
    log:
        "results/logs/figure_context_switches.log",
    params:
        window_ms=config["features"]["window_ms"],
    message:
        "Drawing context switches (figure 7)"
    script:
        "../scripts/figure_context_switches.py"


rule figure_sweep:
    input:
        "results/sweep/sweep.parquet",
    output:
        pdf=report(
            "figures/sweep.pdf",
            caption="../report/sweep.rst",
            category="Model size",
            labels={"figure": "Depth and number of trees", "format": "PDF"},
        ),
        png=report(
            "figures/sweep.png",
            caption="../report/sweep.rst",
            category="Model size",
            labels={"figure": "Depth and number of trees", "format": "PNG"},
        ),
    log:
        "results/logs/figure_sweep.log",
    params:
        window_ms=config["features"]["window_ms"],
    message:
        "Drawing the sweep"
    script:
        "../scripts/figure_sweep.py"


rule figure_flow_table:
    input:
        "results/flood.parquet",
    output:
        pdf=report(
            "figures/flow_table.pdf",
            caption="../report/flow_table.rst",
            category="Exactness",
            labels={"figure": "A flood of flows", "format": "PDF"},
        ),
        png=report(
            "figures/flow_table.png",
            caption="../report/flow_table.rst",
            category="Exactness",
            labels={"figure": "A flood of flows", "format": "PNG"},
        ),
    log:
        "results/logs/figure_flow_table.log",
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
    localrule: True
