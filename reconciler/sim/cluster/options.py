"""The options of a request: read from its query (of a DELETE also from its body) and refused in the server's words.

Law of the module: what comes out of here is legal. Sources: the validation of k8s.io/apimachinery (meta/v1, internalversion).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from . import bodies
from .errors import ApiError, Cause, bad_request, forbidden_field, invalid, invalid_value, required, unsupported
from .http import Request

Json = dict[str, Any]
OptionsKind = Literal["CreateOptions", "UpdateOptions", "PatchOptions"]
Validation = Literal["", "Strict", "Warn", "Ignore"]
_MANAGER_LIMIT = 128
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Options of create, update and patch. `manager` is the field manager as recorded."""

    manager: str
    dry_run: bool = False
    force: bool = False
    validation: Validation = ""


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """Options of a delete. `propagation` is "" where the kind's default holds."""

    dry_run: bool = False
    grace_seconds: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    propagation: str = ""
    orphan: bool | None = None


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Options of a list or watch."""

    labels: str = ""
    fields: str = ""
    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    match: str = ""
    watch: bool = False
    bookmarks: bool = False
    initial_events: bool | None = None
    timeout_seconds: int = 0

    @property
    def version(self) -> int:
        """The resource version as a number, 0 where none is given."""
        return int(self.resource_version or "0")


def truth(text: str | None) -> bool:
    """A query parameter as Go converts it: anything but "false" and "0" is true, also an empty value."""
    return text is not None and text.lower() not in ("false", "0")


def default_manager(user_agent: str) -> str:
    """The manager that a write without `fieldManager` is recorded under: the user agent up to its first slash."""
    return user_agent.split("/", 1)[0][:_MANAGER_LIMIT] or "unknown"


def write_options(request: Request, kind: OptionsKind) -> WriteOptions:
    """Read the options of a write; raises `ApiError` 422."""
    if not request.query and kind != "PatchOptions":
        return WriteOptions(default_manager(request.user_agent))
    query = dict(reversed(request.query))
    causes: list[Cause] = []
    apply = kind == "PatchOptions" and request.content_type == APPLY
    manager = query.get("fieldManager", "")
    if kind == "PatchOptions":
        if apply and not manager:
            causes.append(required("fieldManager", "is required for apply patch"))
        if not apply and "force" in query:
            causes.append(forbidden_field("force", "may not be specified for non-apply patch"))
    causes += _manager_causes(manager)
    causes += _dry_run_causes([v for k, v in request.query if k == "dryRun"])
    validation = query.get("fieldValidation", "")
    if validation not in ("", "Ignore", "Strict", "Warn"):
        causes.append(unsupported("fieldValidation", validation, ("", "Ignore", "Strict", "Warn")))
    if causes:
        raise invalid("meta.k8s.io", kind, "", causes)
    return WriteOptions(
        manager or default_manager(request.user_agent),
        query.get("dryRun") == "All",
        apply and truth(query.get("force")),
        validation,  # type: ignore[arg-type]  # checked above
    )


def _manager_causes(manager: str) -> list[Cause]:
    if len(manager) > _MANAGER_LIMIT:
        return [Cause("FieldValueTooLong", f"Too long: may not be more than {_MANAGER_LIMIT} bytes", "fieldManager")]
    for at, character in enumerate(manager):
        if not character.isprintable():
            text = f"invalid character U+{ord(character):04X} (at position {at})"
            return [invalid_value("fieldManager", manager, text)]
    return []


def _dry_run_causes(values: Sequence[str]) -> list[Cause]:
    if all(value == "All" for value in values):
        return []
    return [unsupported("dryRun", list(values), ("All",))]


def delete_options(request: Request) -> DeleteOptions:
    """Read the options of a delete from body and query; raises `ApiError`."""
    options = DeleteOptions()
    if request.body.strip():
        options = _from_body(request.body)
    query = dict(reversed(request.query))
    if not request.body.strip():
        causes = _dry_run_causes([v for k, v in request.query if k == "dryRun"])
        if causes:
            raise invalid("meta.k8s.io", "DeleteOptions", "", causes)
        options = replace(
            options,
            dry_run=query.get("dryRun") == "All",
            propagation=query.get("propagationPolicy", ""),
            grace_seconds=_number(query.get("gracePeriodSeconds")),
            orphan=truth(query["orphanDependents"]) if "orphanDependents" in query else None,
        )
    _check_delete(options)
    return options


def _from_body(body: bytes) -> DeleteOptions:
    document = bodies.read_options(body)
    conditions = document.get("preconditions") or {}
    causes = _dry_run_causes(document.get("dryRun") or [])
    if causes:
        raise invalid("meta.k8s.io", "DeleteOptions", "", causes)
    return DeleteOptions(
        bool(document.get("dryRun")),
        document.get("gracePeriodSeconds"),
        conditions.get("uid"),
        conditions.get("resourceVersion"),
        document.get("propagationPolicy") or "",
        document.get("orphanDependents"),
    )


def _check_delete(options: DeleteOptions) -> None:
    causes = []
    if options.propagation and options.orphan is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        causes.append(invalid_value("propagationPolicy", options.propagation, text))
    elif options.propagation not in ("", "Foreground", "Background", "Orphan"):
        supported = ("Foreground", "Background", "Orphan", "nil")
        causes.append(unsupported("propagationPolicy", options.propagation, supported))
    if causes:
        raise invalid("meta.k8s.io", "DeleteOptions", "", causes)


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def list_options(pairs: Sequence[tuple[str, str]]) -> ListOptions:
    """Read the options of a list or watch; raises `ApiError`."""
    query: Mapping[str, str] = dict(reversed(pairs))
    options = ListOptions(
        query.get("labelSelector", ""),
        query.get("fieldSelector", ""),
        max(_number(query.get("limit")) or 0, 0),
        query.get("continue", ""),
        query.get("resourceVersion", ""),
        query.get("resourceVersionMatch", ""),
        truth(query.get("watch")),
        truth(query.get("allowWatchBookmarks")),
        truth(query["sendInitialEvents"]) if "sendInitialEvents" in query else None,
        max(_number(query.get("timeoutSeconds")) or 0, 0),
    )
    causes = _watch_causes(options) if options.watch else _list_causes(options)
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)
    if options.resource_version and not options.resource_version.isdigit():
        raise _bad_version(options)
    return options


def _bad_version(options: ListOptions) -> ApiError:
    shown = options.resource_version
    text = f'resourceVersion: Invalid value: "{shown}": strconv.ParseUint: parsing "{shown}": invalid syntax'
    # The real server parses it late for a watch and forgets to make it a bad request.
    return ApiError(500, "", text) if options.watch else bad_request(f"invalid resource version: {text}")


def _list_causes(options: ListOptions) -> list[Cause]:
    causes: list[Cause] = []
    if options.initial_events is not None:
        causes.append(forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if not options.match:
        return causes
    if not options.resource_version:
        text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        causes.append(forbidden_field("resourceVersionMatch", text))
    if options.continue_token:
        text = "resourceVersionMatch is forbidden when continue is provided"
        causes.append(forbidden_field("resourceVersionMatch", text))
    if options.match not in ("Exact", "NotOlderThan"):
        causes.append(unsupported("resourceVersionMatch", options.match, ("Exact", "NotOlderThan", "")))
    if options.match == "Exact" and options.resource_version == "0":
        text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        causes.append(forbidden_field("resourceVersionMatch", text))
    return causes


def _watch_causes(options: ListOptions) -> list[Cause]:
    causes = []
    if options.initial_events is not None:
        if options.match != "NotOlderThan":
            text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            causes.append(forbidden_field("resourceVersionMatch", text))
    elif options.match:
        text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        causes.append(forbidden_field("resourceVersionMatch", text))
    if options.match not in ("", "NotOlderThan"):
        causes.append(unsupported("resourceVersionMatch", options.match, ("NotOlderThan",)))
    return causes
