"""`reconciler validate`: what is wrong with files, without any cluster.

Law of the module: the same parser and the same checks as the daemon's, on files as they lie; nothing is sent anywhere.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.core.identity import Place

from .options import CONFIG, output

if TYPE_CHECKING:
    from reconciler.adapters.git import Parse
    from reconciler.core.identity import BlobId
    from reconciler.core.manifest import Checks, Manifest, ManifestFile
    from reconciler.core.settings import Settings

    from .checking import Before, Checked
    from .tables import Format
    from .terminal import Say

SAY_EVERY = 100  # files
_NO_MANIFEST = "no manifest: neither apiVersion nor kind"


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), envvar="RECONCILER_CONFIG", show_envvar=True,
    help=f"Also check places in the tree against the clusters of this file.  [default: ./{CONFIG} where there is one]",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@output("table", "wide", "json", "yaml")
def validate(paths: tuple[Path, ...], *, config: Path | None, strict: bool, output: Format) -> None:
    """Check manifests in folders or files (default: here), without a cluster: YAML, schemas, names, objects written twice.

    And what objects say of each other: Solutions and Targets that are not there, stages that mean nobody, fields that may not
    change since the last commit. What .reconcilerignore leaves out is left out. Exit code 1 where there are errors. With -o wide,
    documents that are no manifests are listed too.
    """
    from reconciler.kinds import KINDS

    from . import checking, tables, terminal
    from .assembly import checks

    against, settings = checks(), _settings(config)
    assert against.types is not None
    with terminal.progress("reading files") as say:
        trees = _trees(paths or (Path(),), against, say)
        found = [
            (root, checking.check(files.values(), against.types, settings, KINDS, _before(root))) for root, files in trees.items()
        ]
    if output in ("table", "wide"):
        for line in _as_text(found, wide=output == "wide"):
            click.echo(line)
    else:
        tables.show(_as_data(found), output)
    if any(one.count("error") or (strict and one.count("warning")) for _, one in found):
        sys.exit(1)


def _settings(config: Path | None) -> Settings | None:
    """The settings to check places against, where there is a configuration."""
    from reconciler import config as configuration

    file = config or (Path(CONFIG) if Path(CONFIG).is_file() else None)
    return configuration.load(file).settings("", act=False) if file else None


def _trees(paths: tuple[Path, ...], checks: Checks, say: Say) -> dict[Path, dict[str, ManifestFile]]:
    """All files by the top of their tree (the repository that they are in, or else the folder that was named) and their path in it."""
    from reconciler.core.manifest import parse

    count = 0

    def read(text: bytes, name: str, blob: BlobId) -> ManifestFile:
        nonlocal count
        count += 1
        if count % SAY_EVERY == 0:
            say(f"{count} files read")
        return parse(text, name, blob, checks)

    trees: dict[Path, dict[str, ManifestFile]] = {}
    for path in paths:
        absolute = Path(os.path.normpath(path.absolute()))
        folder = absolute if absolute.is_dir() else absolute.parent
        root = next((top for top in (folder, *folder.parents) if (top / ".git").exists()), folder)
        files = _folder(absolute, str(absolute.relative_to(root)), read) if absolute.is_dir() else [_file(absolute, root, read)]
        trees.setdefault(root, {}).update((file.path, file) for file in files)
    return trees


def _folder(folder: Path, inside: str, read: Parse) -> list[ManifestFile]:
    """The files of a folder, whose path in its tree is `inside`."""
    from reconciler.adapters.git import working_tree
    from reconciler.core.messages import GitFailure
    from reconciler.errors import ConfigError

    prefix = "" if inside == "." else f"{inside}/"
    found = working_tree(folder, lambda text, name, blob: read(text, prefix + name, blob), 0.0)
    if isinstance(found, GitFailure):
        raise ConfigError(found.message)
    files = [change.file for change in found.changes if change.file is not None]
    return [file if file.path.startswith(prefix) else _moved(file, prefix) for file in files]


def _moved(file: ManifestFile, prefix: str) -> ManifestFile:
    """A file that was not parsed (a link, too large), with its path in the tree."""
    import msgspec

    problems = (replace(problem, place=problem.place._replace(path=prefix + problem.place.path)) for problem in file.problems)
    return msgspec.structs.replace(file, path=prefix + file.path, problems=tuple(problems))


def _file(file: Path, root: Path, read: Parse) -> ManifestFile:
    """One file that was named itself."""
    from reconciler.adapters.git.reading import BLOB_LIMIT_BYTES, too_large, unread
    from reconciler.adapters.git.worktree import NO_BLOB, blob_id
    from reconciler.errors import ConfigError

    name = str(file.relative_to(root))
    try:
        with file.open("rb") as opened:
            content = opened.read(BLOB_LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    if len(content) > BLOB_LIMIT_BYTES:
        return unread(name, NO_BLOB, too_large(file.stat().st_size, BLOB_LIMIT_BYTES))
    return read(content, name, blob_id(content))


def _before(root: Path) -> Before:
    """What an object was before, where the tree is that of a repository."""
    from reconciler.adapters.git.worktree import Earlier, blob_id
    from reconciler.core.manifest import parse

    earlier = Earlier(root)

    def before(manifest: Manifest) -> Manifest | None:
        text = earlier.text(manifest.path, manifest.blob)
        found = parse(text, manifest.path, blob_id(text)).manifests if text is not None else ()
        called = (manifest.group, manifest.kind, manifest.namespace, manifest.name)
        return next((one for one in found if (one.group, one.kind, one.namespace, one.name) == called), None)

    return before


# -- telling ----------


def _shown(root: Path, place: Place) -> str:
    """A place as somebody standing here would write it."""
    path = str(root / place.path)
    return str(place._replace(path=min(os.path.relpath(path), path, key=len)))


def _as_text(found: list[tuple[Path, Checked]], *, wide: bool) -> list[str]:
    from .tables import columns, findings

    rows = [(_shown(root, one.place), one.severity, one.message) for root, checked in found for one in checked.problems]
    others = [(_shown(root, place), "note", _NO_MANIFEST) for root, checked in found for place in checked.others]
    errors, warnings = (sum(checked.count(severity) for _, checked in found) for severity in ("error", "warning"))
    files, manifests = sum(checked.files for _, checked in found), sum(checked.manifests for _, checked in found)
    said = f"{_count(errors, 'error')}, {_count(warnings, 'warning')} in {_count(files, 'file')} ({_count(manifests, 'manifest')})"
    besides = f"; not manifests: {_count(len(others), 'document')}" if others else ""
    return [*findings(rows + (others if wide else []), columns()), said + besides]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def _as_data(found: list[tuple[Path, Checked]]) -> dict[str, Any]:
    return {
        "errors": sum(checked.count("error") for _, checked in found),
        "warnings": sum(checked.count("warning") for _, checked in found),
        "files": sum(checked.files for _, checked in found),
        "manifests": sum(checked.manifests for _, checked in found),
        "problems": [
            {**_place_data(root, one.place), "severity": one.severity, "message": one.message}
            for root, checked in found
            for one in checked.problems
        ],
        "notManifests": [_place_data(root, place) for root, checked in found for place in checked.others],
    }


def _place_data(root: Path, place: Place) -> dict[str, Any]:
    return {"path": _shown(root, Place(place.path)), "line": place.line, "column": place.column}
