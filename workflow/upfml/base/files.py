"""Files between stages: tables as Parquet, checked when written and when read; summaries as JSON.

A file appears whole or not at all: it is written beside its name and renamed, so a kill or a full disk never leaves
half a file that a later run would trust.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pyarrow
import pyarrow.parquet
from pandera.errors import SchemaError

from upfml.base import tables
from upfml.base.errors import UserError


@contextlib.contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends well, and is removed when it does not.

    Raises UserError when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}", f"free space or mend permissions on {path.parent}"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def write(frame: pd.DataFrame, path: Path | str, schema: pa.DataFrameSchema) -> None:
    """Write rows as Parquet after checking them. Raises UserError when the rows break the schema."""
    checked = _checked(frame, schema, f"rows for {path}")
    with whole_file(path) as partial:
        checked.to_parquet(partial, index=False)


@contextlib.contextmanager
def writer(path: Path | str, schema: pa.DataFrameSchema) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a table of any length: a function that checks rows and appends them as one row group.

    The file appears when the block ends well. Raises UserError when rows break the schema.
    """
    types = pyarrow.Schema.from_pandas(tables.empty(schema), preserve_index=False)
    texts = [name for name, column in schema.columns.items() if str(column.dtype) == "str"]  # few, and long
    with whole_file(path) as partial, pyarrow.parquet.ParquetWriter(partial, types, use_dictionary=texts) as file:

        def append(frame: pd.DataFrame) -> None:
            checked = _checked(frame, schema, f"rows for {path}")
            file.write_table(pyarrow.Table.from_pandas(checked, types, preserve_index=False))

        yield append


def read(path: Path | str, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read a Parquet table and check it. Raises UserError when it is missing, unreadable or breaks the schema."""
    remedy = f"remove {path} and run again: snakemake makes it anew"
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read table {schema.name} from {path}: {error}", remedy) from error
    return _checked(frame, schema, str(path))


def write_csv(frame: pd.DataFrame, path: Path | str) -> None:
    """Write a benchmark's table as CSV, numbers with six significant digits, whole or not at all."""
    with whole_file(path) as partial:
        frame.to_csv(partial, index=False, float_format="%.6g")


def write_json(content: Any, path: Path | str) -> None:
    """Write a summary as JSON, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2, sort_keys=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a summary. Raises UserError when it is missing or is no JSON."""
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}", f"remove {path} and run again") from error


def _checked(frame: pd.DataFrame, schema: pa.DataFrameSchema, what: str) -> pd.DataFrame:
    try:
        return schema.validate(frame)
    except SchemaError as error:
        raise UserError(
            f"{what} break(s) the schema of table {schema.name}: {error}",
            "remove the file and run again; if it comes back, the stage that writes this table is wrong",
        ) from error
