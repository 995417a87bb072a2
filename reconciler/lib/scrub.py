"""Taking credentials out of text that people will see.

Law of the module: error texts of libraries and other programs may quote what they were given. What looks like a credential is
replaced by `***` before it is kept anywhere: the user part of a URL, the value of an Authorization header, JSON Web Tokens,
private keys. A second net below not writing secrets in the first place, so it would rather take too much.
"""

from __future__ import annotations

import re

_SECRETS = re.compile(
    r"(?P<url>\b[a-z][a-z0-9+.-]{0,30}://)[^/?#\s'\"]*@"  # RFC 3986 §3.2.1; a password may hold an "@" itself
    r"|(?P<scheme>\b(?:bearer|authorization: *\w+)[ :=]+)[\w.~+/=-]{8,}"  # RFC 9110 §11.6.2, RFC 6750 §2.1
    r"|\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?"  # RFC 7519: base64url of '{"'
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",  # RFC 7468 §10
    re.IGNORECASE,
)


def scrub(text: str) -> str:
    """`text` without what looks like a credential."""
    return _SECRETS.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    if found["url"]:
        return f"{found['url']}***@"
    return f"{found['scheme']}***" if found["scheme"] else "***"
