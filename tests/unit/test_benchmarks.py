"""benchmarks: what each rule took, from files as Snakemake writes them."""

from pathlib import Path

from upfml.report import benchmarks

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def test_the_longest_comes_first_and_what_was_not_seen_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "timer.tsv").write_text(f"{HEAD}0.41\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA\n")
    (tmp_path / "train-depth10-trees5.tsv").write_text(
        f"{HEAD}12.0345\t0:00:12\t310.25\t900.00\t290.00\t291.00\t0.00\t1.00\t98.00\t11.77\n"
    )
    page = benchmarks.markdown(tmp_path.iterdir())
    assert [line for line in page.splitlines() if line.startswith("| t")] == [
        "| train | depth10-trees5 | 12.0 | 11.8 | 310.2 |",
        "| timer |  | 0.4 | – | – |",
    ]
    assert "2 jobs, 12 s" in page
