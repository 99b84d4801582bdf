"""Files that a run leaves: results, failed rows, differences, undo."""
