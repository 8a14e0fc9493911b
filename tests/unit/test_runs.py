"""Runs that a report shows: their commits in words, and what they are older than."""

from __future__ import annotations

from typing import Any

from upfml.report import runs

NOW = {"results/capture/*": {"code": "c", "config_sha256": "s"}, "results/runs/*": {"code": "d", "config_sha256": "s"}}


def record(**changed: Any) -> dict[str, Any]:
    return {"git_commit": "a" * 40, "git_changes": False, "code": "c", "config_sha256": "s"} | changed


def described(**changed: Any) -> dict[str, Any]:
    records = {
        "results/capture/provenance.json": record(),
        "results/runs/depth10-trees10/batch-1/provenance.json": record(code="d") | changed,
    }
    return runs.described(records, NOW)


def test_one_commit_is_named() -> None:
    assert runs.commits(described(), "a" * 40) == "commit aaaaaaaaaaaa"


def test_one_that_is_not_head_is_named_with_head() -> None:
    assert runs.commits(described(), "b" * 40) == "commit aaaaaaaaaaaa (HEAD is bbbbbbbbbbbb)"


def test_several_are_all_named() -> None:
    found = described(git_commit="b" * 40, git_changes=True)
    assert runs.commits(found, "a" * 40) == (
        "several commits: aaaaaaaaaaaa (1 run); bbbbbbbbbbbb with uncommitted changes (1 run) (HEAD is aaaaaaaaaaaa)"
    )


def test_what_has_changed_since_is_named() -> None:
    assert runs.older(described()) == []
    batch = "results/runs/depth10-trees10/batch-1"
    assert runs.older(described(code="e")) == [f"{batch} (code)"]
    assert runs.older(described(code="e", config_sha256="t")) == [f"{batch} (code and configuration)"]


def test_a_run_without_a_hash_is_older() -> None:
    """As those of earlier versions are."""
    assert runs.older(described(code=None)) != []
