"""The words of a text: what retrieval compares. Pure."""

from __future__ import annotations

import re
import unicodedata

FLOOR = 1 / 9
"""Least Jaccard similarity: the symmetric form of the one-sided 0.2, because two texts of n words
each that share 0.2 n of them have the similarity 0.2 n / (2 n - 0.2 n) = 1/9."""

ONE_SIDED_FLOOR = 0.2
"""The same for `overlap(..., one_sided=True)`, as in the reference implementation."""

_WORD = re.compile(r"[^\W_]+(?:[.'’\-][^\W_]+)*(?:\+\+|#)?")


def words(text: str) -> frozenset[str]:
    """Give the distinct words of a text: casefolded, punctuation stripped.

    `node.js`, `don't`, `large-scale` and `C++` are one word each, `Vue/React` is two.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return frozenset(_WORD.findall(plain))


def overlap(a: str, b: str, one_sided: bool = False) -> float:
    """Say how alike two texts are, 0 to 1.

    Jaccard, |A∩B| / |A∪B|, which is symmetric; or one-sided, |A∩B| / |A|, as in the reference
    implementation. Two texts without words have nothing in common.
    """
    first, second = words(a), words(b)
    whole = len(first) if one_sided else len(first | second)
    return len(first & second) / whole if whole else 0.0
