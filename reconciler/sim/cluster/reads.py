"""Getting and listing: which objects, of which version, in which pages.

Law of the module: a list is a consistent picture of one version; its pages are of the version of the first. What history no longer
holds is 410 Expired, what has not happened yet 504. Sources: apiserver storage (cacher, continue tokens).
"""

from __future__ import annotations

import base64
import binascii
import json

from . import bodies, errors, selectors
from .options import ListOptions
from .resources import Resource
from .selectors import Selector
from .store import Entry, Json, Store, encode, path_of

_TOKEN_VERSION = "meta.k8s.io/v1"  # noqa: S105 - no secret
_LIST_EXPIRED = "The resourceVersion for the provided list is too old."
_CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with "
    "the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


def selector_of(resource: Resource, options: ListOptions) -> Selector:
    """Both selectors of a list or watch."""
    fields: dict[str, str] | None = None
    if resource.definition is not None:
        fields = {}
        for version in resource.definition.get("versions", ()):
            if version["name"] == resource.version:
                fields = {entry["jsonPath"]: "" for entry in version.get("selectableFields") or ()}
    return selectors.selector(options.labels, options.fields, resource.group, resource.kind, fields)


def get(store: Store, resource: Resource, namespace: str, name: str, version: str = "") -> Entry:
    """One object; raises `ApiError`."""
    if version and version != "0":
        if not version.isdigit():
            text = f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax'
            raise errors.internal(text)
        if int(version) > store.version:
            raise errors.too_new(int(version), store.version)
    entry = store.get(resource.storage, namespace, name)
    if entry is None:
        raise errors.not_found(resource.group, resource.plural, name)
    return entry


def page(store: Store, resource: Resource, namespace: str, options: ListOptions) -> tuple[list[Entry], Json]:
    """The objects of one page of a list, and the list's metadata; raises `ApiError`."""
    selector = selector_of(resource, options)
    version, start = store.version, ""
    if options.continue_token:
        version, start = _continued(store, options)
    elif options.version > store.version:
        raise errors.too_new(options.version, store.version)
    elif options.match == "Exact" or (options.limit and options.version and not options.match):
        version = options.version
    if version < store.floor:
        raise errors.expired(_LIST_EXPIRED)
    current = version == store.version
    entries = store.entries(resource.storage, namespace) if current else store.at(resource.storage, version, namespace)
    if start:
        entries = [e for e in entries if _path(e, namespace) >= start]
    return _cut(entries, selector, options, namespace, version)


def _cut(entries: list[Entry], selector: Selector, options: ListOptions, namespace: str, version: int) -> tuple[list[Entry], Json]:
    meta: Json = {"resourceVersion": str(version)}
    # A list at "0" comes from the cache, which knows no pages.
    limit = options.limit if options.resource_version != "0" or options.match else 0
    found: list[Entry] = []
    for at, entry in enumerate(entries):
        if not selector.takes(entry.obj):
            continue
        if limit and len(found) == limit:
            rest = entries[at:]
            meta["continue"] = _token(version, _path(found[-1], namespace))
            if selector.everything:
                meta["remainingItemCount"] = len(rest)
            break
        found.append(entry)
    return found, meta


def _path(entry: Entry, namespace: str) -> str:
    return entry.key[1] if namespace else path_of(entry.key)


def _token(version: int, last: str) -> str:
    return _encoded(version, f"/{last}\0")


def _encoded(version: int, start: str) -> str:
    content = {"v": _TOKEN_VERSION, "rv": version, "start": start}
    return base64.urlsafe_b64encode(encode(content)).decode().rstrip("=")


def _continued(store: Store, options: ListOptions) -> tuple[int, str]:
    token = options.continue_token
    if options.resource_version not in ("", "0"):
        raise errors.bad_request("specifying resource version is not allowed when using continue")
    text = ""
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("latin-1")  # each byte is looked at alone
        content = json.loads(text)
    except (binascii.Error, ValueError) as error:
        text = str(error) if isinstance(error, binascii.Error) else bodies.parse_words(text.encode(), error)
        raise errors.bad_request(f"invalid continue token: continue key is not valid: {text}") from None
    if not isinstance(content, dict) or content.get("v") != _TOKEN_VERSION:
        text = "server does not recognize this encoded version"
        raise errors.bad_request(f"invalid continue token: continue key is not valid: {text} ")
    start, version = str(content.get("start", "")).removeprefix("/"), content.get("rv")
    if version == -1:  # an inconsistent continuation that an expired token was exchanged for
        return store.version, start
    if not isinstance(version, int) or version <= 0:
        raise errors.bad_request("invalid continue token: continue key is not valid: incorrect encoded start resourceVersion")
    if version < store.floor:
        fresh = _encoded(-1, str(content.get("start", "")))
        raise errors.expired(_CONTINUE_EXPIRED, {"continue": fresh})
    return version, start
