"""The socket of a service."""

from __future__ import annotations

import socket

from judge.errors import ConfigError
from serve.settings import HttpSettings

_BACKLOG = 2048


def listen(http: HttpSettings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        ConfigError: The port is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        return socket.create_server((http.host, http.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        what = f"cannot listen on {http.host}:{http.port}: {error.strerror or error}"
        raise ConfigError(what, hint="choose another --port") from error
