"""The names of the files of a job."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from bulk_sync.model.names import stem_of_job


class Files(Struct, frozen=True):
    """The files of a job, named after its input; `page` None writes none.

    `with_cells` if the results have the sheet's own columns, too.
    """

    results: Path
    failed: Path
    checkpoint: Path
    page: Path | None = None
    with_cells: bool = False

    @staticmethod
    def named_after(source: Path, ending: str, *, out: Path | None = None) -> Path:
        """Return the path of a file with this ending, in `out` or in the folder of the input."""
        # Only .csv is dropped, so that x.csv, x.tsv and x.xlsx in one folder are three jobs.
        stem = source.stem if source.suffix.lower() == ".csv" else source.name
        return (source.parent if out is None else out) / f"{stem_of_job(stem)}.{ending}"

    @classmethod
    def of(
        cls,
        source: Path,
        *,
        out: Path | None = None,
        results: Path | None = None,
        checkpoint: Path | None = None,
        page: Path | None = None,
        with_cells: bool = False,
    ) -> Files:
        """Return the files, in the folder of the input or in `out`, except those that are given."""
        # Standard input has no name, so the other files are named after the results.
        if str(source) == "-" and results is not None:
            source, out = results.with_name(f"{results.stem.removesuffix('.results')}.csv"), None
        return cls(
            results=results or cls.named_after(source, "results.csv", out=out),
            failed=cls.named_after(source, "failed.csv", out=out),
            checkpoint=checkpoint or cls.named_after(source, "checkpoint.sqlite", out=out),
            page=page,
            with_cells=with_cells,
        )
