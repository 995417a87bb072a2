"""The asynchronous half of the package `kubernetes`, without the other one.

Law of the module: `import kubernetes.aio` imports all of the synchronous half first, with the HTTP library, the OAuth library and the
rest that only that one needs: a tenth of a second and 14 MB, for each command that asks a cluster. So the package begins without
having been run; the first who asks it for anything but a submodule has it run (PEP 562), and finds it as it always is.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from typing import Any

PACKAGE = "kubernetes"


def alone() -> None:
    """Let `kubernetes.aio` be imported without the rest, if nothing of the package was imported before."""
    spec = find_spec(PACKAGE) if PACKAGE not in sys.modules else None
    if spec is None or spec.loader is None:
        return
    loader, module = spec.loader, module_from_spec(spec)

    def whole(name: str) -> Any:
        if (part := sys.modules.get(f"{PACKAGE}.{name}")) is not None:  # one that is just being imported
            return part
        if vars(module).pop("__getattr__", None) is not None:
            loader.exec_module(module)
        if name in vars(module):
            return vars(module)[name]
        raise AttributeError(f"module {PACKAGE!r} has no attribute {name!r}", name=name, obj=module)

    vars(module)["__getattr__"] = whole
    sys.modules[PACKAGE] = module
