"""The manual's tables of what stages hand on, from their schemas (base/tables.py)."""

from __future__ import annotations

import pandera.pandas as pa

from upfml.base import pages, tables


def markdown() -> str:
    """A heading for each table, with its columns: name, type, what it may be, meaning."""
    schemas = [value for value in vars(tables).values() if isinstance(value, pa.DataFrameSchema)]
    return "\n\n".join(_section(schema) for schema in schemas)


def _section(schema: pa.DataFrameSchema) -> str:
    rows = [
        [f"`{name}`", _type(column), _allowed(column), column.description] for name, column in schema.columns.items()
    ]
    return "\n\n".join(
        [f"## {schema.name}", schema.description, pages.table(["column", "type", "may be", "meaning"], rows)]
    )


def _type(column: pa.Column) -> str:
    """As a reader knows it, not as pandas stores it."""
    name = str(column.dtype)
    return "text" if name.startswith("str") else name


def _allowed(column: pa.Column) -> str:
    words = [_words(check) for check in column.checks]
    if column.nullable:
        words.append("null")
    return ", ".join(words)


def _words(check: pa.Check) -> str:
    bounds = check.statistics or {}
    match check.name:
        case "isin":
            return ", ".join(str(value) or "empty" for value in bounds["allowed_values"])
        case "in_range":
            return f"{bounds['min_value']:,} to {bounds['max_value']:,}"
        case "greater_than_or_equal_to":
            return f"{bounds['min_value']:,} or more"
    raise ValueError(f"there are no words for the check {check.name}")
