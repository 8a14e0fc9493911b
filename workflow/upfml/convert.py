"""scikit-learn forest → emlearn → C for user space → C for the kernel (paper, section 3.2).

emlearn writes one function a tree and a function that votes. User space compiles that file as it is. For the kernel it
is adapted as in the paper: kernel types instead of <stdint.h>, votes set one by one rather than by an aggregate
initialiser (which calls memset), no floating-point model_predict_proba; and its trees are divided over programs that
tail-call each other.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import emlearn
import numpy as np
from sklearn.ensemble import RandomForestClassifier

from upfml import tables
from upfml.errors import UserError

TAIL_CALLS_MAX = 33
"""The kernel's MAX_TAIL_CALL_CNT."""

_TREE = re.compile(r"\bint32_t model_tree_(\d+)\(")
_VOTES = re.compile(r"int32_t votes\[(\d+)\] = \{0,\};")
_FEATURE_TYPE = "int64_t"  # a variance of IATs in us exceeds 32 bits


def c_model(forest: RandomForestClassifier) -> str:
    """The forest as emlearn's C, inline trees over int64 features, unmodified.

    Raises UserError when emlearn's output is not of the form that `for_kernel` adapts.
    """
    converted = emlearn.convert(forest, method="inline", dtype=_FEATURE_TYPE)
    text: str = converted.save(name="model", format="c", include_proba=False)
    if len(_TREE.findall(text)) != len(forest.estimators_) or not _VOTES.search(text):
        raise UserError(
            f"emlearn {emlearn.__version__} writes C of another form", "use the version in envs/requirements.lock"
        )
    return text


def for_kernel(model: str) -> str:
    """emlearn's C adapted to the kernel; raises UserError when something of user space is left in it."""
    text = model.replace(
        "#include <stdint.h>",
        "#include <linux/types.h>\n" + "".join(f"typedef s{bits} int{bits}_t;\n" for bits in (64, 32, 16, 8)),
    )
    classes = int(_VOTES.search(text).group(1))  # type: ignore[union-attr]  # c_model has checked
    one_by_one = "\n".join([f"int32_t votes[{classes}];", *(f"        votes[{i}] = 0;" for i in range(classes))])
    text = _VOTES.sub(one_by_one, text)
    text = text.replace("\nint32_t model_predict(", "\nstatic inline int32_t model_predict(")
    for forbidden in ("stdint.h", "float", "double", "predict_proba", "= {0"):
        if forbidden in text:
            raise UserError(f"the converted model still has `{forbidden}`", "use the emlearn of envs/requirements.lock")
    return f"#pragma once\n#define MODEL_CLASSES {classes}\n{text}"


def divide(trees: int, division: int | Sequence[int]) -> list[list[int]]:
    """Which trees each program evaluates: `division` programs of nearly equal size, or programs of the sizes listed.

    3 divides 10 trees into 4/3/3, as the paper does. A number of programs is cut to the number of trees.
    Raises UserError when sizes do not add up to `trees`, or programs exceed the kernel's limit of tail calls.
    """
    if isinstance(division, int):
        parts = [list(map(int, part)) for part in np.array_split(np.arange(trees), min(division, trees))]
    else:
        if sum(division) != trees:
            raise UserError(
                f"convert.division {list(division)} adds up to {sum(division)}, not to the forest's {trees} trees",
                "list sizes that add up, or give a number of programs",
            )
        edges = np.cumsum([0, *division])
        parts = [list(range(a, b)) for a, b in pairwise(edges)]
    if len(parts) > TAIL_CALLS_MAX:
        raise UserError(
            f"convert.division makes {len(parts)} programs; the kernel allows {TAIL_CALLS_MAX} tail calls",
            f"use at most {TAIL_CALLS_MAX} programs",
        )
    return parts


def tail_called(parts: Sequence[Sequence[int]]) -> str:
    """The programs forest_part_0, forest_part_1, … of engines/tailcall.h, one for each list of trees."""
    features = len(tables.FEATURES)
    programs = []
    for number, trees in enumerate(parts):
        votes = "\n".join(f"\tpad->votes[model_tree_{tree}(features, {features})] += 1;" for tree in trees)
        programs.append(
            f"int forest_part_{number}(struct xdp_md *ctx)\n{{\n"
            "\tstruct scratchpad *pad = scratchpad();\n\tconst int64_t *features;\n\n"
            "\tif (!pad)\n\t\treturn XDP_PASS;\n"
            "\tfeatures = (const int64_t *)&pad->decision.features;\n"
            f"{votes}\n\treturn part_end(ctx, pad, {number + 1});\n}}\n"
        )
    return "\n".join(programs)


def write(forest: RandomForestClassifier, division: int | Sequence[int], engine: str, folder: Path) -> None:
    """Write model.h (user space), forest.h, forest_parts.h and engine.h (kernel) and parts.json into `folder`."""
    model = c_model(forest)
    parts = divide(len(forest.estimators_), division)
    files = {
        "model.h": model,
        "forest.h": for_kernel(model),
        "forest_parts.h": tail_called(parts),
        "engine.h": f'#include "engines/{engine}.h"\n',
    }
    for name, text in files.items():
        with tables.whole_file(folder / name) as partial:
            partial.write_text(text)
    nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
    tables.write_json({"parts": parts, "nodes": int(nodes), "trees": len(forest.estimators_)}, folder / "parts.json")


_WRAPPER = """\
#include "model.h"

/* One call a window (paper, section 3.2: "encapsulated within a C wrapper"). */
int predict(const int64_t *features)
{
	return model_predict(features, FEATURES);
}
"""


def shared_library(folder: Path) -> Path:
    """Compile `folder`/model.h, as it is, into `folder`/model.so for ctypes. Raises UserError when gcc fails."""
    source, library = folder / "model.c", folder / "model.so"
    with tables.whole_file(source) as partial:
        partial.write_text(_WRAPPER)
    with tables.whole_file(library) as partial:
        command: list[str | Path] = ["gcc", "-O2", "-shared", "-fPIC", f"-DFEATURES={len(tables.FEATURES)}"]
        command += ["-o", partial, source]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"gcc could not compile {source}: {done.stderr}", "run `make setup`")
    return library
