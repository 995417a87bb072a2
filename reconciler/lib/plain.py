"""Text of unknown origin on a terminal: one line, nothing that a terminal obeys, as wide as it looks.

Law of the module: pure and total. Object names, messages of servers, commit subjects and file names may hold anything; what is shown
of them cannot move the cursor, hide text or turn its direction (CVE-2021-25743 in kubectl). Widths are columns of a terminal
(Unicode Standard Annex 11: wide and fullwidth characters take two, combining ones none).
"""

from __future__ import annotations

import re
import unicodedata

# C0 and C1 controls, DEL, soft hyphen, invisible and direction marks, line separators, lone surrogates, interlinear and tag characters.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]+"
)
_CUT = "…"


def plain(text: str) -> str:
    """`text` on one line, without what is not to be seen or would be obeyed."""
    return _UNSAFE.sub(" ", text).strip() if _UNSAFE.search(text) else text


def width(text: str) -> int:
    """The columns that `text` takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, columns: int) -> str:
    """`text` in at most so many columns; where something is left out, "…" stands for it."""
    if width(text) <= columns:
        return text
    kept, left = [], columns - 1
    for character in text:
        left -= width(character)
        if left < 0:
            break
        kept.append(character)
    return "".join(kept).rstrip() + _CUT if columns > 0 else ""


def pad(text: str, columns: int) -> str:
    """`text` with blanks up to so many columns."""
    return text + " " * max(0, columns - width(text))
