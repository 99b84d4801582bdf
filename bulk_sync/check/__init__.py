"""Stage 2: a row becomes a record, or a problem. Pure: knows nothing of files or HTTP."""
