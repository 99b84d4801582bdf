"""Values that the stages exchange."""
