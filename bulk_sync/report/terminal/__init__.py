"""Texts on a terminal, drawn with rich."""
