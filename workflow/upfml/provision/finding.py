"""What a check found on a host, and all findings together: as JSON for programs, as text and as a page for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from upfml import tables
from upfml.errors import UserError

Verdict = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Finding:
    """One check on one host. `remedy` is empty when the verdict is ok."""

    host: str
    check: str
    found: str
    wanted: str
    verdict: Verdict
    remedy: str


@dataclass(frozen=True)
class Report:
    """All findings, host by host in the order of the checks."""

    findings: tuple[Finding, ...]

    def write(self, json_path: Path | str, text_path: Path | str) -> None:
        """Write the findings as JSON for programs and as text for people."""
        tables.write_json([asdict(finding) for finding in self.findings], json_path)
        with tables.whole_file(Path(text_path)) as partial:
            partial.write_text(self.text())

    def text(self) -> str:
        """A table for each host, then the remedies of the warnings (those of failures: `raise_if_failed`)."""
        lines: list[str] = []
        width = max((len(finding.check) for finding in self.findings), default=0)
        for host in dict.fromkeys(finding.host for finding in self.findings):
            lines += [host, "-" * len(host)]
            for finding in self.findings:
                if finding.host == host:
                    wanted = "" if finding.verdict == "ok" else f"   (wanted: {finding.wanted})"
                    lines.append(f"{finding.verdict:<8} {finding.check:<{width}}  {finding.found}{wanted}")
            lines.append("")
        lines += [_remedy(finding) for finding in self.findings if finding.verdict == "warning"]
        return "\n".join(lines).rstrip() + "\n"

    def raise_if_failed(self) -> None:
        """Raise UserError that names every failed check, with its remedy."""
        failed = [finding for finding in self.findings if finding.verdict == "failed"]
        if failed:
            hosts = ", ".join(dict.fromkeys(finding.host for finding in failed))
            raise UserError(
                "\n  ".join([f"{hosts} cannot run the experiment:", *map(_remedy, failed)]),
                "mend each as it says above, and run again",
            )


def _remedy(finding: Finding) -> str:
    return f"{finding.verdict}: {finding.host}: {finding.check}: {finding.found}. Remedy: {finding.remedy}"
