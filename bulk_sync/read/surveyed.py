"""Workbooks that are read twice: by a survey, which counts cells, then by python-calamine."""

from __future__ import annotations

from python_calamine import CalamineWorkbook

from bulk_sync.read.foreign import muted
from bulk_sync.read.grid import SheetRows
from bulk_sync.read.survey.interface import Sheet, Surveyor


class SurveyedBook:
    """A workbook whose sheets are surveyed in bounded memory before the library reads them."""

    def __init__(self, surveyor: Surveyor) -> None:
        self.surveyor = surveyor
        self.format = surveyor.format
        self.sheets = surveyor.sheets

    def open(self, sheet: Sheet) -> SheetRows:
        """Read a sheet; see `Book`."""
        survey = self.surveyor.survey(sheet)
        values = None
        if survey.filled:
            with self.surveyor.for_library(sheet) as (file, index), muted():
                values = CalamineWorkbook.from_filelike(file).get_sheet_by_index(index)
        return SheetRows(sheet, survey, values)
