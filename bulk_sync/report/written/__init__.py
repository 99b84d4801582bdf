"""Files that a run writes: results, failed rows, differences, undo."""
