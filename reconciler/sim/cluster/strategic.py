"""Strategic merge patch: a merge patch that knows which lists have keys.

Law of the module: a document, a patch and their type in, a new document out; nothing is changed in place. A list whose
type names a merge key is merged item by item, a list of plain values whose strategy is "merge" is united, any other is
replaced. Directives: `$patch: replace | delete`, `$retainKeys`, `$deleteFromPrimitiveList/…`, `$setElementOrder/…`. The
rules are those of k8s.io/apimachinery `strategicpatch`.
"""

from __future__ import annotations

from typing import Any

from . import errors
from .golang import plain
from .schema import Type
from .typed import equal

Json = dict[str, Any]

DIRECTIVE, RETAIN = "$patch", "$retainKeys"
DELETE_FROM, ORDER = "$deleteFromPrimitiveList", "$setElementOrder"


class _Refused(Exception):
    """The patch does not fit; the text is the server's."""


class _Malformed(_Refused):
    """A directive is not written as it must be: the caller's fault, so 400."""


def strategic_patch(of: Type, document: Json, patch: Any) -> Json:
    """`patch` laid over `document`, both of type `of`.

    Raises:
        ApiError: the patch is none, or does not fit.
    """
    if not isinstance(patch, dict):
        raise errors.bad_request("json: cannot unmarshal array into Go value of type map[string]interface {}")
    try:
        return _merge_maps(of, document, patch)
    except _Malformed as malformed:
        raise errors.bad_request(str(malformed)) from None
    except _Refused as refused:
        raise errors.internal(str(refused)) from None


def _merge_maps(of: Type | None, document: Json, patch: Json) -> Json:
    if DIRECTIVE in patch:
        if patch[DIRECTIVE] == "replace":
            return {name: value for name, value in patch.items() if name != DIRECTIVE}
        if patch[DIRECTIVE] == "delete":
            return {}
        raise _Refused(f"unknown patch type: {plain(patch[DIRECTIVE])} in map: {plain(patch)}")
    merged, patch = _retained(document, patch)
    for name in [name for name in patch if name.startswith(ORDER)]:
        patch = _merge_in_order(of, merged, patch, name)
    for name, value in patch.items():
        if name.startswith(DELETE_FROM):
            _delete_values(merged, _after_slash(name, "invalid patch format of primitive list"), value)
        elif value is None:
            merged.pop(name, None)
        elif name not in merged or type(merged[name]) is not type(value) or not isinstance(value, dict | list):
            kept = _without_directives(value)
            merged.pop(name, None)
            if kept is not None:
                merged[name] = kept
        elif isinstance(value, dict):
            inner = _field(of, name)
            replaced = inner is not None and inner.patch == "replace"
            merged[name] = value if replaced else _merge_maps(inner, merged[name], value)
        else:
            merged[name] = _merge_lists(_field(of, name), merged[name], value)
    return merged


def _field(of: Type | None, name: str) -> Type | None:
    if of is None or not of.is_map or of.scalar:
        return None
    inner = (of.fields or {}).get(name) or of.values
    if inner is None:
        raise _Refused(f'unable to find api field in struct {of.name.rpartition(".")[2]} for the json field "{name}"')
    return inner


def _retained(document: Json, patch: Json) -> tuple[Json, Json]:
    """Copies of both, after `$retainKeys`: members of the document that it does not name are gone."""
    if RETAIN not in patch:
        return dict(document), dict(patch)
    keys = patch[RETAIN]
    rest = {name: value for name, value in patch.items() if name != RETAIN}
    said = [name for name, value in rest.items() if value is not None and not name.startswith((DELETE_FROM, ORDER))]
    if not isinstance(keys, list) or any(name not in keys for name in said):
        raise _Malformed("invalid patch format of retainKeys")
    return {name: value for name, value in document.items() if name in keys}, rest


def _delete_values(merged: Json, name: str, values: Any) -> None:
    if isinstance(merged.get(name), list) and isinstance(values, list):
        merged[name] = [each for each in merged[name] if not any(equal(each, gone) for gone in values)]


def _after_slash(name: str, error: str) -> str:
    _, slash, rest = name.partition("/")
    if not slash:
        raise _Malformed(error)
    return rest


def _without_directives(value: Any) -> Any:
    """A value that is new to the document: without nulls, without items that only say what to delete. None: nothing."""
    if isinstance(value, dict):
        if DIRECTIVE in value:
            return None
        inner = {name: _without_directives(each) for name, each in value.items()}
        return {name: each for name, each in inner.items() if each is not None}
    if isinstance(value, list):
        items = [_without_directives(each) for each in value]
        return [item for item, each in zip(items, value, strict=True) if item is not None or each is None]
    return value


# -- Lists ------------------------------------------------------------------------------------------------------------


def _merge_lists(of: Type | None, document: list[Any], patch: list[Any]) -> list[Any]:
    if of is None or not (of.patch_key or "merge" in of.patch):
        return patch
    if not document and not patch:
        return document
    key = of.patch_key
    if not any(isinstance(each, dict) for each in [*document, *patch]):
        merged: list[Any] = []
        for each in [*document, *patch]:
            if not any(equal(each, other) for other in merged):
                merged.append(each)
        return _ordered(merged, patch, document, "")
    kept, said = _after_item_directives(document, patch, key)
    merged = list(kept)
    for each in said:
        found = _position(merged, _key_of(each, key), key)
        if found < 0:
            merged.append(_without_directives(each))
        else:
            merged[found] = _merge_maps(of.items, merged[found], each)
    return _ordered(merged, said, kept, key)


def _after_item_directives(document: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """The items of the document that stay, and the items of the patch that say more than "delete" or "replace"."""
    kept, said, replaced = list(document), [], False
    for each in patch:
        if not isinstance(each, dict):
            raise _Refused(f"list element types are not identical: {plain([document, patch])}")
        directive = each.get(DIRECTIVE)
        if directive is None:
            said.append(each)
        elif directive == "delete":
            value = _key_of(each, key)
            kept = [item for item in kept if not equal(_key_of(item, key), value)]
        elif directive == "replace":
            replaced = True
        elif directive == "merge":
            raise _Refused("merging lists cannot yet be specified in the patch")
        else:
            raise _Refused(f"unknown patch type: {plain(directive)} in map: {plain(each)}")
    return ([], said) if replaced else (kept, said)


def _merge_in_order(of: Type | None, merged: Json, patch: Json, directive: str) -> Json:
    """Merge one list and put it in the order that `$setElementOrder` gives; the patch without both."""
    name, order = _after_slash(directive, "invalid patch format of setElementOrder list"), patch[directive]
    rest = {key: value for key, value in patch.items() if key not in (directive, name)}
    inner = _field(of, name)
    key = inner.patch_key if inner is not None else ""
    said = patch.get(name)
    if not isinstance(order, list) or not isinstance(said if name in patch else [], list):
        raise _Malformed("invalid patch format of setElementOrder list")
    _check_order(said or [], order, key)
    before = merged.get(name)
    if before is None and said is None:
        return rest
    if not before and not said:
        raise _Refused("no elements in any of the given slices")
    if before is None:
        result = _without_directives(said)
    elif said is None:
        result = before
    else:
        result = _merge_lists(inner, before, said)
    merged[name] = _ordered(result, order, _overwritten(before or [], said or [], key), key)
    return rest


def _overwritten(before: list[Any], said: list[Any], key: str) -> list[Any]:
    """The list that decides the places of items which the order does not name.

    The server deletes from and appends to the live list in place, and then still looks at as many items as it had: deleted
    items have made room, which new ones took. So is it here, because stored objects show it.
    """
    if not key:
        return before
    items, length = list(before), len(before)
    for each in said:
        if each.get(DIRECTIVE) == "delete":
            while (found := _position(items[:length], _key_of(each, key), key)) >= 0:
                items[found : length - 1] = items[found + 1 : length]
                length -= 1
    if any(each.get(DIRECTIVE) == "replace" for each in said):
        return items
    for each in said:
        if DIRECTIVE not in each and _position(items[:length], _key_of(each, key), key) < 0 and length < len(items):
            items[length] = each
            length += 1
    return items


def _check_order(said: list[Any], order: list[Any], key: str) -> None:
    """The items that a patch sets must stand in its order list, in that order."""
    wanted = [each for each in said if not (isinstance(each, dict) and DIRECTIVE in each)]
    if not wanted or not order:
        return
    found = 0
    for each in order:
        if found < len(wanted) and equal(_key_of(wanted[found], key), _key_of(each, key)):
            found += 1
    if found < len(wanted):
        raise _Refused(f"The order in patch list:\n{plain(said)}\n doesn't match {ORDER} list:\n{plain(order)}\n")


def _ordered(items: list[Any], order: list[Any], before: list[Any], key: str) -> list[Any]:
    """Items that `order` names, in its order; the others keep their place before the one that they stood before."""
    named = [each for each in items if _position(order, _key_of(each, key), key) >= 0]
    others = [each for each in items if _position(order, _key_of(each, key), key) < 0]
    named.sort(key=lambda each: _position(order, _key_of(each, key), key))
    others.sort(key=lambda each: _position(before, _key_of(each, key), key))
    made: list[Any] = []
    while others and named:
        left, right = (_position(before, _key_of(each, key), key) for each in (others[0], named[0]))
        made.append(others.pop(0) if 0 <= left < right else named.pop(0))
    return made + others + named


def _key_of(item: Any, key: str) -> Any:
    if not key:
        return item
    if not isinstance(item, dict) or key not in item:
        raise _Refused(f"map: {plain(item)} does not contain declared merge key: {key}")
    return item[key]


def _position(items: list[Any], value: Any, key: str) -> int:
    for index, each in enumerate(items):
        if equal(each.get(key) if key and isinstance(each, dict) else each, value):
            return index
    return -1
