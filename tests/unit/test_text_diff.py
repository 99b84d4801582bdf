"""What is marked as changed between two texts."""

from __future__ import annotations
