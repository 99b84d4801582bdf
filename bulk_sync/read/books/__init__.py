"""Workbooks of spreadsheet programs: one reader for each format.

Each cell's text and type come from the file's own records or elements, with the section of the
specification at the line; what isn't understood ends the reading.
"""
