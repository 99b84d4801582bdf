"""Stage 3: the checkpoint, one SQLite file that holds the whole job.

Knows nothing of HTTP or spreadsheets.
"""
