"""Stage 1: a path becomes rows of raw cells, each with its place.

Knows nothing of showings or HTTP.
"""
