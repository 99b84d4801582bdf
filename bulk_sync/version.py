"""The version of this package, apart from the package itself so that any module may read it."""

from __future__ import annotations

__version__ = "0.1.0"
