"""`python -m bulk_sync`."""

from __future__ import annotations

from bulk_sync.cli import main

if __name__ == "__main__":
    main()
