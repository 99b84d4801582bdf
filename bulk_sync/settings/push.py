"""The settings of a push."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, SecretStr, model_validator

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.secret import SANDBOX_KEY, check_key, read_key
from bulk_sync.settings.files import Files
from bulk_sync.settings.history import History
from bulk_sync.settings.outputs import Outputs
from bulk_sync.settings.sending import Sending
from bulk_sync.settings.sheet import SheetSettings
from bulk_sync.settings.target import KEY_SOURCES, Target


class PushSettings(SheetSettings):
    """The settings of `push`.

    Without `key`, the API key is read from `key_file`, `key_command` or `keychain`; a rehearsal
    needs none, and `push` takes the address of its sandbox as `send_to`. Runs on this host share
    the API's limit in `state_folder`; None is the user's own. `on_shared_storage` if other hosts
    may go on with the job: its checkpoint has a rollback journal then, because hosts can't share a
    WAL. `command` has the words of the command line that pushes this sheet alone, without secrets:
    reports name the next command by it.
    """

    key: Annotated[SecretStr, AfterValidator(check_key)]
    target: Target = Target()
    sending: Sending = Sending()
    history: History = History()
    outputs: Outputs = Outputs()
    state_folder: Path | None = None
    on_shared_storage: bool = False
    command: tuple[str, ...] = ()

    def __init__(self, **values: object) -> None:  # so that type checkers take flat arguments
        super().__init__(**values)

    @classmethod
    def sorted_into_parts(cls, values: Mapping[str, object]) -> dict[str, Any]:
        """Group the values of each part under its name, and set target and key of a rehearsal."""
        found = super().sorted_into_parts(values)
        rehearse(found)
        key_file, *others = (found["target"].get(name) for name in KEY_SOURCES)
        if "key" not in found and (key_file or any(others)):
            found["key"] = read_key(Path(key_file) if key_file else None, {}, *others)
        return found

    @model_validator(mode="after")
    def _name_files_of_a_stream(self) -> Self:
        outputs = self.outputs
        if self.reading.from_standard_input and not (outputs.results and outputs.checkpoint):
            raise ValueError(
                "a sheet from standard input has no name: give --checkpoint and --results"
            )
        return self

    @property
    def own_folder(self) -> Path:
        """The folder of the checkpoint."""
        return self.files.checkpoint.parent

    @property
    def files(self) -> Files:
        """The files of this run."""
        return Files.of(
            self.reading.input,
            out=self.outputs.out,
            results=self.outputs.results,
            checkpoint=self.outputs.checkpoint,
            page=self.outputs.page,
            with_cells=self.outputs.with_cells,
        )


def rehearse(found: dict[str, Any]) -> None:
    """With --sandbox, set the target to the run's own sandbox, and the key that it accepts."""
    if found["target"].get("sandbox"):
        found["target"]["base_url"] = SANDBOX_TARGET
        found["key"] = SANDBOX_KEY
