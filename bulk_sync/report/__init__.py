"""Stage 5: turn the checkpoint's rows into files, and summaries into text. Knows no HTTP."""
