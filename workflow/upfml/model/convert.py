"""scikit-learn model of trees → emlearn → C for user space → C for the kernel (paper, section 3.2).

emlearn writes one function a tree and a function that votes. It is handed the forest's trees with two things settled
beforehand, because left to itself it changes what the forest decides:

- Thresholds. scikit-learn casts a feature to float32 and tests `float32(x) <= threshold`; emlearn cuts the threshold
  down to an integer and tests `x < threshold`. With `exact` thresholds the integer test is scikit-learn's for every
  int64; with `emlearn` it is emlearn's own (the paper's).
- Votes. scikit-learn averages the class shares of the leaves. emlearn lets every tree vote for one class (`majority`,
  the paper's), or rounds shares to 8 bits and adds them up as floats, which the kernel has not and which is too coarse
  to find scikit-learn's class. With `soft` voting emlearn's trees therefore only say which leaf it is, and the text is
  adapted so that the leaf adds its shares, as integers, to the votes.

With `emlearn` and `majority` user space compiles emlearn's file as it is. For the kernel the text is adapted as in the
paper: kernel types instead of <stdint.h>, votes set one by one rather than by an aggregate initialiser (which calls
memset), no floating-point model_predict_proba. What engines add to that is in upfml/model/engines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import emlearn
import numpy as np
from numpy.typing import NDArray

from upfml.base import files, gcc, layout
from upfml.base.errors import UserError
from upfml.model.engines import inline, table, tailcall
from upfml.model.kinds import TreeModel, check_for_c, trees_of
from upfml.model.voting import Voting, leaf_votes
from upfml.packets.features import Definition

Thresholds = Literal["exact", "emlearn"]

_TREE = re.compile(r"\bint32_t model_tree_(\d+)\(")
_LEAF = re.compile(r"\breturn (\d+);")
_VOTES = re.compile(r"(int(?:32|64)_t) votes\[(\d+)\] = \{0,\};")
_PREDICT = "int32_t model_predict("
_FEATURE_TYPE = "int64_t"  # a variance of IATs in us exceeds 32 bits
_INT64 = np.iinfo(np.int64)


def integer_thresholds(tree: Any, how: Thresholds) -> NDArray[np.int64]:
    """The integer T of each node of a scikit-learn `tree_`, shape (nodes,): a sample goes left iff x < T. Leaves: 0.

    `exact`: the smallest int64 that is above the threshold once cast to float32. The cast never decreases, so x < T is
    scikit-learn's float32(x) <= threshold for every int64 x. `emlearn`: the threshold without its fraction.
    Raises UserError when an int64 cannot hold T.
    """
    inner = tree.children_left >= 0
    threshold = tree.threshold[inner]
    lowest, highest = (np.float32(limit) for limit in (_INT64.min, _INT64.max))
    held = (lowest < threshold) & (threshold < highest)
    if not held.all():
        raise UserError(
            f"the forest has a threshold of {threshold[~held][0]}, which no int64 feature can be compared with",
            "train it on integer features, as the stage `train` does",
        )
    integers = np.zeros(tree.node_count, np.int64)
    integers[inner] = _first_above(threshold) if how == "exact" else threshold.astype(np.int64)
    return integers


def _first_above(threshold: NDArray[np.float64]) -> NDArray[np.int64]:
    """The smallest int64 whose float32 is above each threshold, by bisection."""
    low = np.full(threshold.shape, _INT64.min)  # never above
    high = np.full(threshold.shape, _INT64.max)  # always above
    for _ in range(64):
        middle = (low & high) + ((low ^ high) >> 1)  # their mean, rounded down, without overflow
        above = middle.astype(np.float32) > threshold
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return high


def c_model(forest: TreeModel, thresholds: Thresholds, voting: Voting) -> str:
    """The forest as emlearn's C: inline trees over int64 features.

    With majority voting it is emlearn's text unmodified. With soft voting the trees are emlearn's but for their leaves,
    and model_predict adds up what these give. Raises UserError when emlearn's output is not of the form that is adapted
    here and by `for_kernel`, or when no C can be made of the model (model.check_for_c).
    """
    check_for_c(forest)
    votes = [leaf_votes(tree, voting) for tree in trees_of(forest)]
    if voting == "majority":
        return _emlearn(forest, thresholds, votes)
    distinct = [np.unique(rows, axis=0, return_inverse=True) for rows in votes]
    places = [np.eye(len(rows), dtype=bool)[place] for rows, place in distinct]
    return _soft(_emlearn(forest, thresholds, places), [rows for rows, _ in distinct])


def _emlearn(forest: TreeModel, thresholds: Thresholds, values: Sequence[NDArray[Any]]) -> str:
    """emlearn's C of the forest, where a leaf of tree t returns the place of the largest in its row of values[t]."""
    estimators = [
        SimpleNamespace(
            n_features_in_=forest.n_features_in_,
            n_classes_=forest.n_classes_,
            tree_=SimpleNamespace(
                node_count=tree.node_count,
                children_left=tree.children_left,
                children_right=tree.children_right,
                feature=tree.feature,
                threshold=integer_thresholds(tree, thresholds),
                value=rows[:, np.newaxis, :],  # nodes, outputs, classes
            ),
        )
        for tree, rows in zip(trees_of(forest), values, strict=True)
    ]
    stand_in = SimpleNamespace(estimators_=estimators)
    converted = emlearn.convert(stand_in, kind="RandomForestClassifier", method="inline", dtype=_FEATURE_TYPE)
    text: str = converted.save(name="model", format="c", include_proba=False)
    if len(_TREE.findall(text)) != len(estimators) or not _VOTES.search(text) or _PREDICT not in text:
        raise UserError(
            f"emlearn {emlearn.__version__} writes C in a form that this project does not know",
            "use the version in envs/requirements.lock",
        )
    return text


_SOFT_PREDICT = """\
/*
 * The class with the largest sum of the leaves' class shares, the first of equals, as scikit-learn. A leaf adds by how
 * much its share of a class exceeds that of class 0, so that votes[0] stays 0.
 */
int32_t model_predict(const int64_t *features, int32_t features_length) {{
    int64_t votes[{classes}] = {{0,}};
    int32_t most_voted_class = 0;

{trees}

    for (int32_t i = 1; i < {classes}; i++) {{
        if (votes[i] > votes[most_voted_class]) {{
            most_voted_class = i;
        }}
    }}
    return most_voted_class;
}}
"""


def _soft(model: str, distinct: Sequence[NDArray[np.int64]]) -> str:
    """`model` with leaves that add their votes, where `return i;` of tree t stands for the votes distinct[t][i].

    Only differences between classes matter, so a leaf adds its votes less those of class 0: for two classes one
    addition, which halves the program in the kernel.
    """
    trees = model[: model.index(_PREDICT)]
    trees = trees.replace("int32_t model_tree_", "void model_tree_")
    trees = trees.replace("int32_t features_length)", "int32_t features_length, int64_t *votes)")
    head, *functions = re.split(r"(?=static inline void model_tree_)", trees)

    for tree, votes in enumerate(distinct):
        adds = [
            " ".join(f"votes[{number}] += {vote};" for number, vote in enumerate(row) if vote)
            for row in (votes - votes[:, :1]).tolist()
        ]
        functions[tree] = _LEAF.sub(lambda leaf, adds=adds: adds[int(leaf[1])], functions[tree])
    calls = (f"    model_tree_{tree}(features, features_length, votes);" for tree in range(len(distinct)))
    predict = _SOFT_PREDICT.format(classes=distinct[0].shape[1], trees="\n".join(calls))
    return "".join([head, *functions, predict])


def for_kernel(model: str) -> str:
    """emlearn's C adapted to the kernel; raises UserError when something of user space is left in it."""
    text = model.replace(
        "#include <stdint.h>",
        "#include <linux/types.h>\n" + "".join(f"typedef s{bits} int{bits}_t;\n" for bits in (64, 32, 16, 8)),
    )
    kind, number = _VOTES.search(text).groups()  # type: ignore[union-attr]  # c_model has checked
    classes = int(number)
    one_by_one = "\n".join([f"{kind} votes[{classes}];", *(f"        votes[{i}] = 0;" for i in range(classes))])
    text = _VOTES.sub(one_by_one, text)
    text = text.replace(f"\n{_PREDICT}", f"\nstatic inline {_PREDICT}")
    for forbidden in ("stdint.h", "float", "double", "predict_proba", "= {0"):
        if forbidden in text:
            raise UserError(
                f"the converted model still contains `{forbidden}`", "use the emlearn of envs/requirements.lock"
            )
    return text


def write(
    forest: TreeModel,
    division: tailcall.Division,
    engine: str,
    folder: Path,
    *,
    thresholds: Thresholds,
    voting: Voting,
    definition: Definition,
    user_space: bool = True,
) -> None:
    """Write model.h (user space), forest.h, engine.h and what else the engine needs, and parts.json into `folder`.

    `definition` is that of the features on which the forest was trained; parts.json keeps it, so that the folder says
    what the model was made for. `division` is for the engine `tailcall`. emlearn takes a minute for 500 trees of depth
    20, of which the engine `table` needs nothing: it can do without model.h (`user_space`). Raises UserError when the
    forest is not for this engine.
    """
    check_for_c(forest)
    trees, features = trees_of(forest), int(forest.n_features_in_)
    parts = [list(range(len(trees)))]
    limits = [integer_thresholds(tree, thresholds) for tree in trees]
    facts: dict[str, Any] = {}
    texts = {
        "engine.h": f'#include "engines/{engine}.h"\n',
        "forest.h": f"#pragma once\n#define MODEL_CLASSES {forest.n_classes_}\n#define MODEL_FEATURES {features}\n",
    }
    model = c_model(forest, thresholds, voting) if user_space or engine != "table" else ""
    if engine == "table":
        facts, image = table.image(table.Trees(trees, limits, [leaf_votes(tree, voting) for tree in trees]))
        with files.whole_file(folder / "forest.bin") as partial:
            partial.write_bytes(image)
        texts["engine.h"] += layout.assertions({"forest_header": table.header(features)})
    else:
        texts["forest.h"] += for_kernel(model)
    if engine == "tailcall":
        parts = tailcall.divide([tailcall.tree_instructions(each, forest.n_classes_) for each in limits], division)
        forget = voting == "soft" or division == "auto"  # the paper's division comes with the paper's text
        texts["forest_parts.h"] = tailcall.programs(parts, features, voting, forget=forget)
    if engine == "inline":
        texts["forest_votes.h"] = inline.votes(len(trees), features, voting)
    if user_space:
        texts["model.h"] = model
    for name, text in texts.items():
        with files.whole_file(folder / name) as partial:
            partial.write_text(text)
    facts |= {
        "engine": engine,
        "parts": parts,
        "nodes": int(sum(tree.node_count for tree in trees)),
        "trees": len(trees),
        "classes": int(forest.n_classes_),
        "features": features,
        "thresholds": thresholds,
        "voting": voting,
        "window_ns": definition.window_ns,
        "iat_unit_ns": definition.iat_unit_ns,
    }
    files.write_json(facts, folder / "parts.json")


_WRAPPER = """\
#include "model.h"

const int model_features = FEATURES;

/* One call a window (paper, section 3.2: "encapsulated within a C wrapper"). */
int predict(const int64_t *features)
{
	return model_predict(features, FEATURES);
}
"""


def shared_library(folder: Path, features: int) -> Path:
    """Compile `folder`/model.h, as it is, into `folder`/model.so for ctypes; the model takes so many features.

    Raises UserError when gcc fails.
    """
    source, library = folder / "model.c", folder / "model.so"
    with files.whole_file(source) as partial:
        partial.write_text(_WRAPPER)
    gcc.build(source, library, "-shared", "-fPIC", f"-DFEATURES={features}")
    return library
