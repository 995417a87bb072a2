from __future__ import annotations
from .settings import Settings
from .writes import Call, Writes
from .options import WriteOptions


class Controllers:
    def __init__(self, writes: Writes, settings: Settings, now: float):
        ns = writes.catalogue.find("", "v1", "namespaces")
        for n in ("default", "kube-system", "kube-public", "kube-node-lease"):
            c = Call(ns, "", n, now, WriteOptions("kube-apiserver"))
            obj, _ = writes.forms.decode(ns, {"metadata": {"name": n}}, [], c.options)
            writes.create(c, obj)

    def run(self, now: float) -> float | None:
        return None
