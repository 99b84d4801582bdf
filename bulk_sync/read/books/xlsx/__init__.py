"""XLSX and XLSM (ECMA-376 part 1, 18.3): streamed, so that memory doesn't grow with the sheet.

Programs write rows, and shared texts, in a few plain forms. Compiled patterns read a row in such a
form, whole or not at all; expat reads everything else in document order: what surrounds the rows,
and each row that a pattern doesn't match. So the patterns need no mercy, and what is wrong with a
file is found by the exact reader alone.
"""
