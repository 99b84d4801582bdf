"""Stage 5: the checkpoint's rows become files, and a summary on the terminal. Knows nothing of
HTTP.
"""
