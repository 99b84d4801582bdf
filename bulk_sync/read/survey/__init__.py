"""The survey: a streaming pass over a sheet that counts its cells before the library reads them.

python-calamine, which gives the values, turns error cells into blanks, may stop short, and
allocates a sheet's bounding box before anyone can ask for its size. So a survey goes first, in
bounded memory, and says how many cells must come.
"""
