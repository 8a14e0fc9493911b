"""What the checks found on the hosts: as JSON for programs, as text and as an HTML page for people."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from upfml.base import files, pages
from upfml.base.errors import UserError

Verdict = Literal["ok", "warning", "failed"]

_TITLE = "Are the machines fit for the experiment?"
_COLUMNS = ("verdict", "check", "found", "wanted", "remedy")
_STYLE = """
td { overflow-wrap: anywhere; }
td:first-child { font-weight: bold; white-space: nowrap; }
.ok td:first-child { color: #1a7f37; }
.warning td:first-child { color: #9a6700; background: #fff8c5; }
.failed td:first-child { color: #fff; background: #b42318; }
"""


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
class Findings:
    """All findings, host by host in the order of the checks."""

    findings: tuple[Finding, ...]

    @classmethod
    def read(cls, json_path: Path | str) -> Findings:
        """What `write` wrote. Raises UserError when it is missing or is no JSON."""
        return cls(tuple(Finding(**row) for row in files.read_json(json_path)))

    def write(self, json_path: Path | str, text_path: Path | str, page_path: Path | str) -> None:
        """Write the findings as JSON for programs, and as text and as HTML for people."""
        files.write_json([asdict(finding) for finding in self.findings], json_path)
        for path, content in ((text_path, self.text()), (page_path, self.page())):
            with files.whole_file(path) as partial:
                partial.write_text(content)

    def summary(self) -> str:
        """How many checks are ok, and how many are not."""
        counts = Counter(finding.verdict for finding in self.findings)
        return f"{counts['ok']} ok, {counts['warning']} warning, {counts['failed']} failed"

    def text(self) -> str:
        """A table for each host, then the remedies, those of failures first."""
        lines: list[str] = []
        width = max((len(finding.check) for finding in self.findings), default=0)
        for host, findings in self._by_host().items():
            lines += [host, "-" * len(host)]
            for finding in findings:
                wanted = "" if finding.verdict == "ok" else f"   (wanted: {finding.wanted})"
                lines.append(f"{finding.verdict:<8} {finding.check:<{width}}  {finding.found}{wanted}")
            lines.append("")
        for verdict in ("failed", "warning"):
            lines += [_remedy(finding) for finding in self.findings if finding.verdict == verdict]
        return "\n".join([*lines, self.summary()]) + "\n"

    def page(self) -> str:
        """The same as an HTML page that needs no other file, with the remedy beside each finding."""
        body = [f"<h1>{_TITLE}</h1>\n<p>{self.summary()}</p>\n"]
        for host, findings in self._by_host().items():
            body.append(f"<h2>{html.escape(host)}</h2>\n<table>\n<tr>{_cells('th', _COLUMNS)}</tr>\n")
            for finding in findings:
                cells = [getattr(finding, column) for column in _COLUMNS]
                body.append(f'<tr class="{finding.verdict}">{_cells("td", cells)}</tr>\n')
            body.append("</table>\n")
        return pages.around("".join(body), _TITLE, _STYLE)

    def _by_host(self) -> dict[str, list[Finding]]:
        found: dict[str, list[Finding]] = {}
        for finding in self.findings:
            found.setdefault(finding.host, []).append(finding)
        return found

    def raise_if_failed(self) -> None:
        """Raise UserError that names every failed check, with its remedy."""
        failed = [finding for finding in self.findings if finding.verdict == "failed"]
        if failed:
            hosts = ", ".join(dict.fromkeys(finding.host for finding in failed))
            raise UserError(
                "\n  ".join([f"{hosts} cannot run the experiment:", *map(_remedy, failed)]),
                "follow the remedy of each, and run again",
            )


def _cells(kind: str, texts: Iterable[str]) -> str:
    return "".join(f"<{kind}>{html.escape(text)}</{kind}>" for text in texts)


def _remedy(finding: Finding) -> str:
    return f"{finding.verdict}: {finding.host}: {finding.check}: {finding.found}. Remedy: {finding.remedy}"
