"""A second, streaming reading of a workbook that counts what the first must deliver.

The library that gives the values turns error cells into blanks and may stop short; it also
allocates the bounding box of a sheet before anyone can ask how large that is. A survey goes
first, in bounded memory, and says what must come.
"""
