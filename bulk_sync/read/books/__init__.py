"""Workbooks that are read by code of our own: XLS, XLSB and ODS.

One reading is enough here: each cell's text and type come from the file's own records, with the
section of the specification at the line, and anything that isn't understood ends the reading.
"""
