"""The settings of a run: a dataclass for each concern, and the models composed of them.

`reading`, `meaning`, `pacing`, `target`, `sending`, `history`, `stopping`, `outputs`, `comparing`
and `inbox` declare every option once, see `option.Option`. They import no pydantic: it takes longer
to import than all that `--help` needs, which is made from them. `sheet`, `push` and `reconcile`
compose the models that a run takes, and validate them.
"""
