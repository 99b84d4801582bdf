"""Stage 4: changes become outcomes. Knows nothing of spreadsheets or reports."""
