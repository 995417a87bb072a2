"""Helm charts, rendered by the operator's own `helm`.

Law of the module: a chart is fetched without its values and rendered from the archive, so nothing that is said about fetching can show a
secret, and what is said about rendering with one is kept. Each run is one program without a shell: its words checked by whoever asked, its
values on standard input, its homes in a private folder, nothing of our environment, no plug-ins; limited in time, memory, files and output,
and ended with all that it started. Helm itself has no limit on what a server sends.

Helm asks the address that it is given, which is on the operator's list. Where that server sends it from there (a redirect, the index of
a repository) is the server's affair: who trusts it less limits the network of the daemon.

Sources: helm.sh/docs/helm/helm_pull, helm_template; helm.sh/docs/helm/helm (HELM_* variables).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from reconciler.core.messages import Chart, ChartFailure, ChartObjects, ChartRendered, RenderChart
from reconciler.core.yaml import load
from reconciler.lib.scrub import scrub

FETCH_SECONDS = 30.0
RENDER_SECONDS = 30.0
OUTPUT_LIMIT = 16 << 20  # bytes of objects: as much as YAML may have
ERROR_LIMIT = 64 << 10  # bytes of what it says to people
MESSAGE_LIMIT = 400  # characters of it that are passed on
FILE_LIMIT = 64 << 20  # bytes of an archive, or of an index
MEMORY_LIMIT = 1 << 30  # bytes
ARCHIVES_KEPT = 32
"""Charts that were fetched lately: ten thousand targets fetch one of them once."""

_ODD = re.compile(r"[^ -~]+")


class Trouble(Exception):
    """Why there are no objects; never leaves this module."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.failure = ChartFailure(message, permanent)


class Archive(NamedTuple):
    """A chart that was fetched."""

    file: Path
    version: str


class Helm:
    """The program at `program`. `folder` is its own: what is there goes."""

    def __init__(
        self,
        program: Path,
        folder: Path,
        *,
        fetch_seconds: float = FETCH_SECONDS,
        render_seconds: float = RENDER_SECONDS,
        memory_bytes: int = MEMORY_LIMIT,
    ) -> None:
        self._program = program
        self._folder = folder
        self._fetch_seconds = fetch_seconds
        self._render_seconds = render_seconds
        self._memory_bytes = memory_bytes
        self._archives: dict[tuple[str, str, str], asyncio.Task[Archive]] = {}
        self._begun = False

    async def render(self, effect: RenderChart) -> ChartRendered:
        """A chart's objects, or why there are none."""
        try:
            return ChartRendered(effect.id, await self._render(effect.chart))
        except Trouble as trouble:
            return ChartRendered(effect.id, trouble.failure)
        except OSError as error:  # a disk that is full
            return ChartRendered(effect.id, ChartFailure(f"{self._program.name} cannot be used: {error.strerror}"))

    async def close(self) -> None:
        """Leave nothing behind."""
        for task in self._archives.values():
            task.cancel()
        await asyncio.gather(*self._archives.values(), return_exceptions=True)
        if self._begun:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _render(self, chart: Chart) -> ChartObjects:
        archive = await self._archive(chart)
        words = ["template", f"--namespace={chart.namespace}", "--values=-", "--include-crds", "--skip-tests"]
        words += ["--", chart.release, str(archive.file)]
        try:
            text = await self._run(words, chart.values, self._render_seconds)
            again = await self._run(words, chart.values, self._render_seconds)
        except Trouble as trouble:
            said = "nothing that helm says is shown, since a value is secret" if chart.secret else trouble
            raise Trouble(str(said), permanent=True) from None
        return ChartObjects(archive.version, await asyncio.to_thread(_objects, text, secret=chart.secret), varies=text != again)

    # -- archives ----------

    async def _archive(self, chart: Chart) -> Archive:
        key = (chart.repo, chart.name, chart.version)
        task = self._archives.pop(key, None)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._fetch(chart))
        self._archives[key] = task
        archive = await asyncio.shield(task)  # who stops waiting does not stop it for others
        if archive.version != chart.version:
            self._archives.pop(key, None)  # which one is the newest is asked anew
            self._archives[chart.repo, chart.name, archive.version] = task
        while len(self._archives) > ARCHIVES_KEPT:
            oldest = self._archives.pop(next(iter(self._archives)))
            if oldest.done() and not oldest.cancelled() and oldest.exception() is None:
                shutil.rmtree(oldest.result().file.parent, ignore_errors=True)
        return archive

    async def _fetch(self, chart: Chart) -> Archive:
        into = self._private()
        words = ["pull", f"--destination={into}"]
        words += [f"--version={chart.version}"] if chart.version else []
        words += [f"--repo={chart.repo}"] if chart.repo else []
        try:
            await self._run([*words, "--", chart.name], b"", self._fetch_seconds)
            files = list(into.glob("*.tgz"))
            if len(files) != 1:
                raise Trouble(f"helm pull brought {len(files) or 'no'} archives, not one")
            version = _version(await self._run(["show", "chart", "--", str(files[0])], b"", self._render_seconds))
            if chart.name.endswith(".tgz") and chart.version not in ("", version):
                raise Trouble(f"version {version} is there, not {chart.version}")
        except BaseException:
            shutil.rmtree(into, ignore_errors=True)
            raise
        return Archive(files[0], version)

    def _private(self) -> Path:
        if not self._begun:
            shutil.rmtree(self._folder, ignore_errors=True)  # of a daemon that was killed
            self._folder.mkdir(mode=0o700, parents=True)
            self._begun = True
        return Path(tempfile.mkdtemp(dir=self._folder))

    # -- one run ----------

    async def _run(self, words: list[str], given: bytes, seconds: float) -> bytes:
        """What the program prints.

        Raises:
            Trouble: it says no, too much, or nothing in time.
        """
        home = self._private()
        try:
            process = await asyncio.create_subprocess_exec(
                str(self._program),
                *words,
                env=_environment(home),
                cwd=home,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # so that what it starts can be ended with it
            )
        except (OSError, ValueError) as error:
            shutil.rmtree(home, ignore_errors=True)
            raise Trouble(f"{self._program.name} cannot be run: {getattr(error, 'strerror', error)}") from None
        try:
            _limit(process.pid, self._memory_bytes)
            async with asyncio.timeout(seconds):
                code, out, err = await _talk(process, given)
        except TimeoutError:
            raise Trouble(f"helm {words[0]} did not end within {seconds:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):  # already gone
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            shutil.rmtree(home, ignore_errors=True)
        if len(out) > OUTPUT_LIMIT:
            raise Trouble(f"helm {words[0]} prints more than {OUTPUT_LIMIT >> 20} MiB")
        if code != 0:
            raise Trouble(self._said(err, code, words[0]))
        return out


    def _said(self, err: bytes, code: int, word: str) -> str:
        """Helm's own words, fit to be shown: without paths of ours, on one line."""
        text = scrub(err[:ERROR_LIMIT].decode(errors="replace"))
        if "out of memory" in text or "cannot allocate memory" in text:
            return f"helm {word} needs more than {self._memory_bytes >> 20} MiB of memory"
        _, _, after = text.rpartition("Error: ")
        text = re.sub(re.escape(str(self._folder)) + r"/\w+/?", "", after or text)
        text = _ODD.sub(" ", text.replace("Use --debug flag to render out invalid YAML", "")).strip()
        return f"helm {word}: {text[:MESSAGE_LIMIT] or f'ended with {code}, and said nothing'}"


def _environment(home: Path) -> dict[str, str]:
    homes = {f"HELM_{name.upper()}_HOME": str(home / name) for name in ("cache", "config", "data")}
    return {**homes, "HOME": str(home), "TMPDIR": str(home), "PATH": os.defpath, "HELM_NO_PLUGINS": "1"}


def _limit(pid: int, memory_bytes: int) -> None:
    """What a program may use, where the system lets us say so (Linux)."""
    if sys.platform != "linux":
        return
    limits = {resource.RLIMIT_DATA: memory_bytes, resource.RLIMIT_FSIZE: FILE_LIMIT, resource.RLIMIT_CORE: 0}
    with contextlib.suppress(ProcessLookupError):  # it has ended already
        for which, limit in limits.items():
            resource.prlimit(pid, which, (limit, limit))


async def _talk(process: asyncio.subprocess.Process, given: bytes) -> tuple[int, bytes, bytes]:
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    _, out, err = await asyncio.gather(
        _feed(process.stdin, given), _read(process, process.stdout, OUTPUT_LIMIT), _read(process, process.stderr, ERROR_LIMIT)
    )
    return await process.wait(), out, err


async def _feed(stream: asyncio.StreamWriter, given: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it reads no more: it will say why
        stream.write(given)
        await stream.drain()
    stream.close()


async def _read(process: asyncio.subprocess.Process, stream: asyncio.StreamReader, limit: int) -> bytes:
    """Read to the end; who prints more than the limit is ended."""
    kept = bytearray()
    while chunk := await stream.read(64 << 10):
        kept += chunk
        if len(kept) > limit:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            break
    return bytes(kept)


# -- what it says ----------


def _version(text: bytes) -> str:
    documents = load(text).documents
    about = documents[0].value if documents else None
    version = about.get("version") if isinstance(about, dict) else None
    if not isinstance(version, str) or not version.isprintable() or not 0 < len(version) <= 100:
        raise Trouble("its Chart.yaml says no version", permanent=True)
    return version


def _objects(text: bytes, *, secret: bool) -> bytes:
    """All documents, as one JSON array.

    Raises:
        Trouble: it is not YAML, or more than we take.
    """
    loaded = load(text)
    for fault in loaded.faults:
        if fault.severity == "error":
            raise Trouble("what it renders is no YAML" + ("" if secret else f": line {fault.line}: {fault.message}"), permanent=True)
    try:
        return msgspec.json.encode([document.value for document in loaded.documents if document.value is not None])
    except (ValueError, OverflowError, RecursionError):
        raise Trouble("what it renders cannot be said in JSON", permanent=True) from None
