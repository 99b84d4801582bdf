"""ODS (OpenDocument 1.3 part 3, 9.1): streamed, so that memory doesn't grow with the sheet.

As in XLSX, a pattern takes the rows in the plain form, and expat reads everything else. Only the
content of a cell is its value: text boxes, pictures and comments anchored to it are not (9.1.4).
"""
