"""Progress and summaries on a terminal, with rich."""
