"""The embedded engine: Temporal server, worker, store owner and model on this machine.

Clients call `ensure` and get a `Running`; `crp up` runs `serve`. One engine per home directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crp.local.engine import clients, ensure, last_failure, release, status, stop
    from crp.local.state import Running
    from crp.local.supervisor import serve

__all__ = ["Running", "clients", "ensure", "last_failure", "release", "serve", "status", "stop"]


def __getattr__(name: str) -> Any:
    # Late, because the model server is a module of this package too and has to start quickly.
    from importlib import import_module

    rooms = {"Running": "state", "serve": "supervisor"}
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{rooms.get(name, 'engine')}"), name)
