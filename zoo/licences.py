"""Short names of licences, so that they can be compared however they are written."""

from __future__ import annotations

import fnmatch
import re

_WORD = re.compile(r"[a-z*?]+|\d+(?:\.\d+)*")
_VERSION = re.compile(r"\d+(?:\.\d+)*")
_NO_WORDS = {"license", "licence", "version", "v", "the", "international", "public"}
_WORDS = {
    "attribution": "by",
    "noncommercial": "nc",
    "sharealike": "sa",
    "noderivatives": "nd",
    "noderivs": "nd",
}


def short_name(licence: str) -> str:
    """Returns the short name of a licence: its words in lower case up to the version, joined by `-`, as SPDX has them.

    What follows the version, such as a link or a remark, is left out.

    Args:
        licence: The licence, as a description states it or a user writes it; `*` and `?` are kept.

    Example:
        >>> short_name("Apache License, Version 2.0"), short_name("CC BY-NC 3.0 (Neuromorphometrics, Inc.)")
        ('apache-2.0', 'cc-by-nc-3.0')
    """
    text = re.sub(r"creative commons", "cc", licence.lower()).replace("non-commercial", "noncommercial")
    text = re.sub(r"\bcc0\b", "cczero", text)  # its 0 is not a version
    words = []
    for word in _WORD.findall(text):
        if word not in _NO_WORDS:
            words.append(_WORDS.get(word, word))
        if _VERSION.fullmatch(word):
            break
    return "-".join(words).replace("cczero", "cc0")


def title(licence: str) -> str:
    """Returns the name of a licence, without the remark behind its colon, for tables.

    Args:
        licence: As a description states it.

    Example:
        >>> title("CC BY-NC 3.0: scans from OASIS"), title("Apache 2.0")
        ('CC BY-NC 3.0', 'Apache 2.0')
    """
    return licence.partition(":")[0]


def is_non_commercial(licence: str) -> bool:
    """Returns whether a licence forbids commercial use, so that it must be stated with every output.

    Args:
        licence: As a description states it.

    Example:
        >>> is_non_commercial("CC BY-NC 3.0: scans from OASIS"), is_non_commercial("CC BY-SA 4.0")
        (True, False)
    """
    return "nc" in short_name(licence).split("-")


def matches(licence: str, wanted: str) -> bool:
    """Returns whether a licence is the one wanted, whatever the case and the spacing.

    Without a version, any version matches: `"cc-by"` is CC BY 4.0, but neither CC BY-NC nor CC BY-SA.

    Args:
        licence: As a description states it.
        wanted: As a user writes it, with `*` for anything, such as `"cc-by-*"`.

    Example:
        >>> matches("CC BY-SA 4.0", "cc-by-sa-4.0"), matches("CC BY-NC 3.0", "cc-by"), matches("CC BY 4.0", "CC BY")
        (True, False, True)
    """
    name, pattern = short_name(licence), short_name(wanted).replace("-", "")
    without_version = re.sub(rf"-{_VERSION.pattern}$", "", name)
    return any(fnmatch.fnmatchcase(each.replace("-", ""), pattern) for each in (name, without_version))
