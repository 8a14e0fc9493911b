"""What the leaves of a forest say, in whole numbers.

scikit-learn averages the leaves' class shares in float64. Where classes tie, the rounding of those sums decides, by its
last bit; and they do tie, when leaves are small (shares of 1/3, 1/6, …). So a forest's shares are rounded once, where
it is trained, to multiples of 2^-30: float64 sums of up to 2^22 such shares are exact whatever their order, and
scikit-learn and integer arithmetic find the same sums, ties included.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Voting = Literal["soft", "majority"]

SOFT_ONE = 1 << 30
"""What the shares of one leaf add up to in soft voting. Of 2^31 trees the sums would stay in an int64."""


def leaf_votes(tree: Any, voting: Voting) -> NDArray[np.int64]:
    """What each leaf of a scikit-learn `tree_` adds to each class's votes, shape (nodes, classes).

    `majority` (paper, section 3.2): 1 to the leaf's most frequent class, the first of equals. `soft`: the class shares
    in units of 1/SOFT_ONE; a leaf's shares add up to SOFT_ONE, the remainder of rounding being the most frequent
    class's. The class with the largest sum over the trees is the forest's, the first of equals. Inner nodes have rows,
    too, made of the training samples that passed them.
    """
    shares = tree.value[:, 0, :]
    most_frequent: NDArray[np.int64] = np.eye(shares.shape[1], dtype=np.int64)[shares.argmax(axis=1)]
    if voting == "majority":
        return most_frequent
    votes: NDArray[np.int64] = np.rint(shares * SOFT_ONE).astype(np.int64)
    votes += most_frequent * (SOFT_ONE - votes.sum(axis=1, keepdims=True))
    return votes
