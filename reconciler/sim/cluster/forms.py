"""Objects as the type of their kind sees them: read strictly, completed, and with their owners of fields.

Law of the module: the one place that hands objects to the type functions (`merge`, `patch`, `defaults`), with what those need to
know of the write. Nothing here stores, and what is given is not changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from . import decode, defaults, errors, merge, metadata, resets, strategy
from .misfits import restore_words, unmarshal_words
from .options import WriteOptions
from .resources import Catalogue, Resource, table
from .schema import Type
from .store import Json


class Patched(NamedTuple):
    """That a document is the outcome of a patch: how the server shows it in a refusal, and whether the patch was a strategic one."""

    shown: Callable[[], str]
    strategic: bool


class Forms:
    """What is known of the types of one cluster's kinds."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def decode(
        self, resource: Resource, document: Json, repeats: list[str], options: WriteOptions, *, patched: Patched | None = None
    ) -> tuple[Json, list[str]]:
        """Read a document as an object of the kind, completed; returns it and warnings. Raises `ApiError`.

        What is wrong with the outcome of a patch (`patched`) is worded as a fault of the patch.
        """
        document = _retyped(resource, document, patched) if patched and not resource.custom else _typed(resource, document)
        head = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        of = resource.about.type
        found: list[str] = []
        if options.validation != "Ignore":
            found = repeats + [f'unknown field "{path}"' for path in decode.unknown_fields(of, document)]
        try:
            obj = self._stored(resource, document)
        except decode.DecodeError as error:
            words = restore_words(error) if patched and patched.strategic else unmarshal_words(of, resource.kind, error)
            raise (wrong_patch(patched, words) if patched else errors.bad_request(head + words)) from None
        if found and options.validation == "Strict":
            if patched:
                raise wrong_patch(patched, f"strict decoding error: {', '.join(found)}")
            said = ", ".join(found)
            if repeats and not repeats[0].startswith("duplicate"):
                said = "\n  ".join(["yaml: unmarshal errors:", *repeats])
            raise errors.bad_request(f"{head}strict decoding error: {said}")
        return self.complete(resource, obj), found

    def _stored(self, resource: Resource, document: Json) -> Json:
        of = resource.about.type
        if not resource.custom:
            made: Json = decode.stored(of, document)
            return made
        kept: Json = decode.pruned(of, document)
        kept["metadata"] = decode.stored((of.fields or {})["metadata"], document.get("metadata") or {}, "metadata")
        return kept

    def decode_part(self, resource: Resource, obj: Json, part: str) -> Json:
        """One part of an object of a built-in kind, as it is stored."""
        of = (resource.about.type.fields or {})[part]
        made: Json = defaults.defaulted(of, decode.stored(of, obj.get(part) or {}, part))
        return made

    def complete(self, resource: Resource, obj: Json, *, applied: bool = False) -> Json:
        """The object with its defaults; `applied` where it is the outcome of an apply."""
        of = resource.about.type
        made: Json = defaults.custom_defaulted(of, obj, applied=applied) if resource.custom else defaults.defaulted(of, obj)
        return made

    def reread(self, resource: Resource, obj: Json) -> Json:
        """A stored object of a custom kind as a changed definition sees it."""
        return self.complete(resource, self._stored(resource, obj))

    def empty(self, resource: Resource) -> Json:
        """The object of the kind of which nothing has been said: what apply begins with."""
        if resource.custom:
            return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
        return decode.empty(resource.about.type, resource.api_version, resource.kind)

    def types(self, resource: Resource) -> Callable[[str], Type | None]:
        """The type of the kind in any of its versions."""

        def of(api_version: str) -> Type | None:
            group, _, version = api_version.rpartition("/")
            found = self._catalogue.find(group, version, resource.plural)
            return found.about.type if found else None

        return of

    def _writer(self, resource: Resource, options: WriteOptions, now: float, part: str) -> merge.Writer:
        ignored = resets.ignored(resource.group, resource.kind, part, custom=resource.custom, has_status=strategy.has_status(resource))
        at = metadata.timestamp(now)
        return merge.Writer(options.manager, resource.api_version, resource.kind, at, part, ignored)

    def track(self, resource: Resource, live: Json | None, obj: Json, options: WriteOptions, now: float, part: str) -> Json:
        """`obj` with the field ownership that writing it over `live` leaves."""
        return merge.update(self.types(resource), live, obj, self._writer(resource, options, now, part))

    def apply(self, resource: Resource, live: Json | None, applied: Json, options: WriteOptions, now: float, part: str) -> Json:
        """Server-side apply of `applied` over `live`. Raises `ApiError`."""
        by = self._writer(resource, options, now, part)
        base = live or self.empty(resource)
        return merge.apply(self.types(resource), base, applied, by, force=options.force)


def wrong_patch(patched: Patched, words: str) -> errors.ApiError:
    """The refusal of a patch whose outcome does not fit."""
    return errors.invalid("", "", "", [errors.invalid_value("patch", patched.shown(), words)])


def without_kind(resource: Resource, body: bytes) -> errors.ApiError:
    """The refusal of a custom object that does not say its kind; it shows what was sent."""
    text = body.decode("utf-8", "replace")
    said = f"the object provided is unrecognized (must be of type {resource.kind}): Object 'Kind' is missing in '{text}'"
    return errors.bad_request(f"{said} ({text[:_SHOWN_LIMIT]} ...)")


def _typed(resource: Resource, document: Json) -> Json:
    """The document under the version and kind of its path; raises `ApiError` where it says another."""
    version, kind = document.get("apiVersion"), document.get("kind")
    if resource.custom:
        if version != resource.api_version:
            raise errors.bad_request(_other_version(version, resource))
        if kind != resource.kind:
            name = (document.get("metadata") or {}).get("name", "")
            raise errors.invalid(resource.group, str(kind), name, [errors.invalid_value("kind", kind, f"must be {resource.kind}")])
        return document
    version, kind = version or resource.api_version, kind or resource.kind
    if (version, kind) != (resource.api_version, resource.kind):
        if f"{version}/{kind}" not in table().kinds:
            words = f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:111"'
        elif kind == resource.kind:
            raise errors.bad_request(_other_version(version, resource))
        else:
            words = _no_conversion(resource, version, kind)
        raise errors.bad_request(f'{kind} in version "{_short(version)}" cannot be handled as a {resource.kind}: {words}')
    return {**document, "apiVersion": resource.api_version, "kind": resource.kind}


def _retyped(resource: Resource, document: Json, patched: Patched) -> Json:
    """The same for the outcome of a patch of a built-in kind: a strategic one cannot change version or kind, another may not."""
    version, kind = document.get("apiVersion"), document.get("kind")
    if not patched.strategic and (version, kind) != (resource.api_version, resource.kind):
        other = table().kinds.get(f"{version}/{kind}")
        if other is None:
            raise wrong_patch(patched, f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:111"')
        try:
            decode.stored(other.type, document)
        except decode.DecodeError as error:
            raise wrong_patch(patched, unmarshal_words(other.type, other.kind, error)) from None
        raise wrong_patch(patched, _no_conversion(resource, str(version), str(kind)))
    return {**document, "apiVersion": resource.api_version, "kind": resource.kind}


def _no_conversion(resource: Resource, version: str, kind: str) -> str:
    package = (resource.group or "core").split(".")[0]
    return f"converting ({_short(version)}.{kind}) to ({package}.{resource.kind}): unknown conversion"


def _other_version(version: object, resource: Resource) -> str:
    return f"the API version in the data ({version or ''}) does not match the expected API version ({resource.api_version})"


def _short(version: str) -> str:
    return version.rpartition("/")[2]


_SHOWN_LIMIT = 30
