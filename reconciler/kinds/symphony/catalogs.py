"""What `$config` finds in catalogs: overrides first, then the catalog itself, each with its line of parents.

Law of the module: pure; what a catalog holds is given as it is written (`expressions` evaluates it). A key names a property; in backticks
it is a jq path (`paths`), of which the last value counts; empty ("" included, for double quotes are kept) it asks for the whole catalog,
merged with its parents mapping by mapping, the child's values on top. An override that does not exist is passed over.

Source: api/pkg/apis/v1alpha1/providers/config/catalog and managers/configs of eclipse-symphony/symphony.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from reconciler.core.problem import SHOWN_CHARACTERS, did_you_mean
from reconciler.core.problem import shown as quoted

from .paths import find_jq
from .values import VALUE_DEPTH, Budget, ExpressionError, Json

PARENTS: Final = 32  # in one line
PATH_STEPS: Final = 1_000  # of the jq paths of one question
PROVIDER: Final = "catalog"  # the only one there is: `catalog::name` is `name`


@dataclass(frozen=True, slots=True)
class Catalog:
    """The properties of a catalog as written, and the name of its parent ("" for none)."""

    properties: Mapping[str, Json]
    parent: str = ""


Catalogs: TypeAlias = Callable[[str], Catalog | None]
"""A catalog by its name; None where there is none. May raise what the view raises."""


def config_from(catalogs: Catalogs) -> Callable[[str, str, tuple[str, ...]], Json]:
    """What `Scope.config` wants, from catalogs by name."""

    def config(name: str, key: str, overrides: tuple[str, ...]) -> Json:
        return look_up(name, key, overrides, catalogs)

    return config


def look_up(name: str, key: str, overrides: tuple[str, ...], catalogs: Catalogs) -> Json:
    """The value of a key in the first catalog that has it.

    Raises:
        ExpressionError: there is no such catalog, it has no such key, or its parents lead back to it.
    """
    budget = Budget(steps=PATH_STEPS)
    for override in overrides:
        found = _in_line(_line(override, catalogs), key, budget)
        if found is not None:
            return found
    line = _line(name, catalogs)
    if not line:
        raise ExpressionError(f"there is no catalog {quoted(name)}")
    found = _in_line(line, key, budget)
    if found is None:
        near = did_you_mean(key, [each for each in list(line[0].properties)[:100] if len(each) <= SHOWN_CHARACTERS and each != key])
        raise ExpressionError(f"catalog {quoted(name)} has no property {quoted(key)}{near}")
    return found


def property_of(properties: Json, key: str, budget: Budget) -> Json:
    """The value of a key, or of a jq path in backticks; None where there is none.

    Raises:
        ExpressionError: the path cannot be read, or the budget is spent.
    """
    if len(key) > 1 and key.startswith("`") and key.endswith("`"):
        found = find_jq(properties, key[1:-1], budget)
        return found[-1] if found else None
    return properties.get(key) if isinstance(properties, Mapping) else None


def _in_line(line: list[Catalog], key: str, budget: Budget) -> Json:
    if key in ("", '""'):
        merged: Json = None
        for catalog in reversed(line):
            merged = _merged(merged, dict(catalog.properties), 0)
        return merged
    return next((found for catalog in line if (found := property_of(catalog.properties, key, budget)) is not None), None)


def _line(name: str, catalogs: Catalogs) -> list[Catalog]:
    """A catalog and its parents, nearest first; nothing where it does not exist."""
    provider, separator, bare = name.partition("::")
    if separator and provider != PROVIDER:
        raise ExpressionError(f"there is no source of configuration called {quoted(provider)}; there is {PROVIDER}")
    line: dict[str, Catalog] = {}
    each = bare if separator else name
    while each:
        if each in line:
            raise ExpressionError(f"circular dependency: the parents of catalogs {' → '.join(map(quoted, [*line, each]))}")
        if len(line) == PARENTS:
            raise ExpressionError(f"catalog {quoted(name)} has {PARENTS} parents or more, one above the other")
        catalog = catalogs(each)
        if catalog is None:
            if line:
                raise ExpressionError(f"catalog {quoted([*line][-1])} has the parent {quoted(each)}, which does not exist")
            break
        line[each], each = catalog, catalog.parent
    return list(line.values())


def _merged(below: Json, above: Json, depth: int) -> Json:
    """Two values, the upper on top: mappings are merged, anything else is replaced."""
    if not isinstance(below, dict) or not isinstance(above, dict) or depth >= VALUE_DEPTH:
        return above
    made = dict(below)
    for key, value in above.items():
        made[key] = _merged(below.get(key), value, depth + 1)
    return made
