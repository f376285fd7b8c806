"""Ports on the loopback interface: free ones, and what to say of one that is taken.

Also imported by the model server, which has to start quickly: standard library only.
"""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Collection

from crp.errors import EngineError

PORTS = range(20000, 30000)
"""Below what Linux, macOS and Windows give to outgoing connections: a port that is kept for the
next start is then still free."""


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if sys.platform != "win32":  # there it would allow taking a port from its owner
            # Connections that a server of ours just closed do not make the port taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def choose_port(setting: str, wanted: int, last: int, chosen: Collection[int] = ()) -> int:
    """Take the port of the settings, else the last one again, else any free one.

    `chosen` are ports that are free now and will not be. Raises EngineError when a port that the
    settings ask for is taken.
    """
    if wanted:
        if not port_is_free(wanted):
            raise EngineError(port_taken(setting, wanted))
        return wanted
    if last and last not in chosen and port_is_free(last):
        return last
    candidates = (port for port in random.sample(PORTS, 200) if port not in chosen)
    return next(port for port in candidates if port_is_free(port))


def port_taken(setting: str, port: int) -> str:
    variable = "CRP_" + setting.upper().replace(".", "__")
    return (
        f"port {port} on 127.0.0.1 is taken{_by_whom(port)}: set {setting} ({variable}) "
        "to another port, or to 0 for any free one"
    )


def _by_whom(port: int) -> str:
    import psutil  # only for the message

    try:
        for c in psutil.net_connections("tcp"):
            if c.status == psutil.CONN_LISTEN and c.laddr[1:] == (port,) and c.pid:
                return f" by {psutil.Process(c.pid).name()} (pid {c.pid})"
    except psutil.Error:  # macOS tells only root
        pass
    return ""
