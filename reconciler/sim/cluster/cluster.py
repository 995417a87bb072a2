"""One embedded API server: requests in, answers out, watches as cursors, controllers by the clock.

Law of the module: synchronous, no socket, no clock of its own: `now` (seconds since the Unix epoch) comes with each call, and uids and
names come from the seed. The same calls in the same order give the same bytes. What it answers is what kube-apiserver 1.36 answers
to the same request; where it does not, that is a defect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace

from . import bodies, discovery, errors, forms, options, protobuf, reads, reviews, strategy, subresources, views
from .controllers import Controllers
from .errors import ApiError
from .http import Request, Response, Target, split
from .ids import Ids
from .patches import patched
from .renewals import LEASES, Renewals
from .resources import Catalogue, Resource, builtin
from .settings import Settings
from .store import Entry, Event, Json, Store, encode
from .watching import Cursor
from .writes import Call, Writes

_ENDPOINTS_WARNING = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
_METHODS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Cluster:
    """An embedded cluster. `name` and `seed` decide every uid and generated name."""

    def __init__(self, name: str, seed: int = 0, now: float = 0.0, settings: Settings = Settings()) -> None:  # noqa: B008 - frozen
        self.name = name
        self.settings = settings
        self.store = Store(settings.history_limit)
        self.catalogue = Catalogue()
        self.ids = Ids(seed, name)
        self.writes = Writes(self.store, self.catalogue, self.ids)
        self.renewals = Renewals(self.store)
        self.requests: dict[tuple[str, str, str], int] = {}
        self.controllers = Controllers(self.writes, settings, now)

    # -- the world --------------------------------------------------------------------------------------------------------

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` after each change of any object."""
        self.store.subscribe(listener)

    def tick(self, now: float) -> float | None:
        """Run the controllers until they rest; returns when the next one is due, None for when something happens."""
        return self.controllers.run(now)

    @property
    def has_work(self) -> bool:
        """Whether the controllers have something to do at once."""
        return self.controllers.has_work

    def past(self, version: int) -> Cluster:
        """This cluster as a server shows it that lags behind at `version`; to be read only."""
        made = copy(self)
        made.store = self.store.past(version)
        return made

    # -- requests ---------------------------------------------------------------------------------------------------------

    def handle(self, request: Request, now: float) -> Response:
        """Answer anything but a watch."""
        try:
            answer = self._route(protobuf.as_json(request), now)
        except ApiError as error:
            return _refusal(error, request.accept)
        target = split(request.path)
        if target and (target.group, target.plural) == ("", "endpoints"):
            return replace(answer, headers=(*answer.headers, *_warnings([_ENDPOINTS_WARNING])))
        return answer

    def is_watch(self, request: Request) -> bool:
        """Whether a request is a watch, to be opened with `watch`."""
        target = split(request.path)
        if request.method != "GET" or target is None or target.name:
            return False
        return options.truth(dict(reversed(request.query)).get("watch"))

    def watch(self, request: Request, now: float) -> Cursor | Response:
        """Open a watch; a refusal is an ordinary answer."""
        try:
            target, resource = self._resource(request)
            self._count("watch", resource, request)
            form = views.form_of(request.accept, dict(request.query).get("includeObject", ""), watch=True)
            if form.kind == "PartialObjectMetadataList":
                raise views.wrong_form(form, resource, is_list=False)
            return Cursor(self, resource, target.namespace, options.list_options(request.query), form, now)
        except ApiError as error:
            return _refusal(error)

    def _route(self, request: Request, now: float) -> Response:
        if request.method == "GET" and (found := discovery.answer(self.catalogue, request)):
            return found
        target, resource = self._resource(request)
        if target.subresource:
            self._count(_METHODS.get(request.method, "get"), resource, request, target.subresource)
            return subresources.answer(self, request, target, resource, now)
        if request.method == "GET" and target.name:
            return self._get(request, target, resource, now)
        if request.method == "GET":
            return self._list(request, target, resource, now)
        return self._write(request, target, resource, now)

    def _resource(self, request: Request) -> tuple[Target, Resource]:
        target = split(request.path)
        if target is None or not self.catalogue.serves(target.group, target.version):
            known = request.path.startswith("/api/") or any(request.path.startswith(f"/apis/{group}/") for group, _ in builtin() if group)
            raise errors.no_resource() if known else errors.no_page()
        resource = self.catalogue.find(target.group, target.version, target.plural)
        if resource is None and (target.group, target.version) not in builtin():
            raise errors.no_page()
        if resource is None or (target.namespace and not resource.namespaced):
            raise errors.no_resource()
        if resource.namespaced and target.name and not target.namespace:
            raise errors.no_resource()
        if target.subresource and target.subresource not in resource.about.subresources:
            raise errors.not_found(resource.group, resource.plural, target.name) if resource.custom else errors.no_resource()
        return target, resource

    def _count(self, verb: str, resource: Resource, request: Request, part: str = "") -> None:
        name = f"{resource.plural}/{part}" if part else resource.plural
        key = (verb, name, options.default_manager(request.user_agent))
        self.requests[key] = self.requests.get(key, 0) + 1

    def _get(self, request: Request, target: Target, resource: Resource, now: float) -> Response:
        self._count("get", resource, request)
        _serves(resource, "get")
        query = dict(reversed(request.query))
        form = views.form_of(request.accept, query.get("includeObject", ""))
        entry = reads.get(self.store, resource, target.namespace, target.name, query.get("resourceVersion", ""))
        return Response(200, views.one(form, resource, entry, now), form.content_type)

    def _list(self, request: Request, target: Target, resource: Resource, now: float) -> Response:
        self._count("list", resource, request)
        _serves(resource, "list")
        form = views.form_of(request.accept, dict(request.query).get("includeObject", ""))
        entries, meta = reads.page(self.store, resource, target.namespace, options.list_options(request.query))
        return Response(200, views.many(form, resource, entries, meta, now), form.content_type)

    def _write(self, request: Request, target: Target, resource: Resource, now: float) -> Response:
        verb = _METHODS.get(request.method)
        if verb == "delete" and not target.name:
            verb = "deletecollection"
        if resource.custom and verb == "create" and target.name:
            target = target._replace(name="")  # of a custom kind the name in the path is not looked at
        if resource.custom and verb in ("update", "patch") and not target.name:
            raise errors.bad_request("name must be provided")
        if verb is None or (verb in ("create", "deletecollection")) == bool(target.name):
            raise errors.no_method()
        if resource.namespaced and not target.namespace:
            raise errors.no_method()
        self._count(verb, resource, request)
        _serves(resource, verb)
        match verb:
            case "create":
                return self._create(request, target, resource, now)
            case "update":
                return self._update(request, target, resource, now)
            case "patch":
                return self._patch(request, target, resource, now)
            case "delete":
                return self._delete(request, target, resource, now)
        return self._delete_all(request, target, resource, now)

    def _create(self, request: Request, target: Target, resource: Resource, now: float) -> Response:
        call = self.call(request, target, resource, now, "CreateOptions")
        with _warned(call):
            obj = self.body(request, resource, call)
            if reviews.is_review(resource):
                return Response(201, encode(reviews.answer(self.writes, call, obj)))
            return self.answer(request, resource, self.writes.create(call, obj), now, 201, call.warnings)

    def _update(self, request: Request, target: Target, resource: Resource, now: float) -> Response:
        if resource.storage == LEASES and (made := self.renewals.renewed(request, now)):
            return self.answer(request, resource, made, now, 200, [])
        call = self.call(request, target, resource, now, "UpdateOptions")
        before = self.store.get(resource.storage, target.namespace, target.name)
        with _warned(call):
            obj = self.body(request, resource, call)
            _same_name(call, obj)
            made, created = self.writes.replace(call, obj)
        if resource.storage == LEASES and not call.warnings:
            self.renewals.settle(request, before, self.store.get(resource.storage, target.namespace, target.name))
        return self.answer(request, resource, made, now, 201 if created else 200, call.warnings)

    def _patch(self, request: Request, target: Target, resource: Resource, now: float) -> Response:
        call = self.call(request, target, resource, now, "PatchOptions")
        with _warned(call):
            made, created = patched(self.writes, call, request)
        return self.answer(request, resource, made, now, 201 if created else 200, call.warnings)

    def _delete(self, request: Request, target: Target, resource: Resource, now: float) -> Response:
        chosen = options.delete_options(request)
        call = Call(resource, target.namespace, target.name, now, options.WriteOptions("", chosen.dry_run))
        obj, gone = self.writes.delete(call, chosen)
        if gone and not strategy.answers_with_object(resource):
            details: Json = {"name": target.name}
            if resource.group:
                details["group"] = resource.group
            details |= {"kind": resource.plural, "uid": obj["metadata"]["uid"]}
            status: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
            return Response(200, encode(status), headers=_warnings(call.warnings))
        return self.answer(request, resource, obj, now, 200, call.warnings)

    def _delete_all(self, request: Request, target: Target, resource: Resource, now: float) -> Response:
        chosen = options.delete_options(request)
        entries, meta = reads.page(self.store, resource, target.namespace, options.list_options(request.query))
        for entry in entries:
            call = Call(resource, *entry.key, now, options.WriteOptions("", chosen.dry_run))
            self.writes.delete(call, chosen)
        form = views.form_of(request.accept)
        return Response(200, views.many(form, resource, entries, meta, now), form.content_type)

    # -- parts that subresources share ------------------------------------------------------------------------------------

    def call(self, request: Request, target: Target, resource: Resource, now: float, kind: options.OptionsKind) -> Call:
        """The write that a request asks for."""
        chosen = options.write_options(request, kind)
        return Call(resource, target.namespace, target.name, now, chosen, target.subresource)

    def body(self, request: Request, resource: Resource, call: Call) -> Json:
        """The object that a request carries."""
        bodies.check_media(request.content_type)
        strict = call.options.validation != "Ignore"
        document, repeats = bodies.read(request.body, resource.kind, request.content_type, strict)
        if resource.custom and not document.get("kind"):
            raise forms.without_kind(resource, request.body)
        obj, warnings = self.writes.forms.decode(resource, document, repeats, call.options)
        call.warnings += warnings
        return obj

    def answer(self, request: Request, resource: Resource, obj: Json, now: float, code: int, warnings: list[str]) -> Response:
        """The answer to a write: the object as it is now."""
        form = views.form_of(request.accept)
        entry = Entry(obj, int(obj["metadata"].get("resourceVersion") or 0))
        return Response(code, views.one(form, resource, entry, now), form.content_type, _warnings(warnings))


def _serves(resource: Resource, verb: str) -> None:
    if verb not in resource.about.verbs:
        raise errors.no_method()


def _same_name(call: Call, obj: Json) -> None:
    name = obj["metadata"].get("name")
    if not name:
        text = f"the name of the object ({call.name} based on URL) was undeterminable: name must be provided"
        raise errors.bad_request(text)
    if name != call.name:
        raise errors.bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.name})")


def _warnings(warnings: list[str]) -> tuple[tuple[str, str], ...]:
    return tuple(("Warning", "299 - " + encode(text).decode()) for text in warnings)


@contextmanager
def _warned(call: Call) -> Iterator[None]:
    """A refusal brings along what there was to warn of."""
    try:
        yield
    except ApiError as error:
        error.warnings = call.warnings
        raise


def _refusal(error: ApiError, accept: str = "") -> Response:
    if error.code == 404 and not error.reason:
        return Response(404, error.message.encode(), "text/plain; charset=utf-8")
    if accept.startswith("application/yaml"):
        return Response(error.code, views.to_yaml(encode(error.status())), "application/yaml", _retry(error) + _warnings(error.warnings))
    return Response(error.code, encode(error.status()), headers=_retry(error) + _warnings(error.warnings))


def _retry(error: ApiError) -> tuple[tuple[str, str], ...]:
    seconds = (error.details or {}).get("retryAfterSeconds")
    return (("Retry-After", str(seconds)),) if seconds else ()
