"""Text that others wrote, made fit for pages and commit messages that we write.

Law of the module: total and pure. Whatever the text is, it stays one line, says nothing but itself and does nothing: no markup, no
link, no mention, no reference to an issue, no column or row of its own, no trailer. Branch names, authors, subjects and messages of
API servers are hostile (specs/reliability-security.md, D20). Lengths count characters.

Sources: GitHub Flavored Markdown 0.29 §2.4 (escapes), §4.10 (tables), §6.9 (what becomes a link by itself); CommonMark 0.31 §2.5.
"""

from __future__ import annotations

import re

from reconciler.lib.scrub import scrub

NOT_SHOWN = "\ufffd"
_JOINER = "&#8288;"  # U+2060: takes no room, breaks no line, and ends what would become a link or a mention
_ESCAPES = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "|": "&#124;",  # GFM splits rows before it reads escapes, and renderers differ about "\\|"
        "\\": "&#92;",
        "`": "&#96;",
        **{char: f"\\{char}" for char in "*_[]~$"},
        **{char: f"{char}{_JOINER}" for char in "@#"},
    }
)
_LINKS = re.compile(r"(?i)(www)(?=\.)|(:)(?=//)")
_NOT_IN_MESSAGES = re.compile(r"[^\w./:,+=~ -]")


def plain(text: str, limit: int) -> str:
    """One line without control, bidirectional or other unseen characters, credentials masked, cut to `limit`."""
    line = " ".join(scrub(text[: 4 * limit]).split())
    if not line.isprintable():
        line = "".join(char if char.isprintable() else NOT_SHOWN for char in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def escaped(text: str, limit: int) -> str:
    """`plain`, so that Markdown shows exactly that, in a table cell or in running text."""
    return _LINKS.sub(lambda found: found[0] + _JOINER, plain(text, limit).translate(_ESCAPES))


def message_text(text: str, limit: int) -> str:
    """`plain`, for a commit message: what forges act on there (mentions, references, words in brackets) is replaced."""
    return _NOT_IN_MESSAGES.sub("?", plain(text, limit))
