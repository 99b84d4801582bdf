"""The HTML page of a run and of a comparison."""
