"""Array libraries. One record each; chosen by the arrays given, imported only when asked for."""

from minigrad.backends.base import (
    Backend,
    backend_named,
    backend_of,
    get_default_backend,
    parse_device,
    register,
    use_backend,
)

__all__ = [
    "Backend",
    "backend_named",
    "backend_of",
    "get_default_backend",
    "parse_device",
    "register",
    "use_backend",
]
