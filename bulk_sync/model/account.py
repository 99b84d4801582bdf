"""The team that a key acts for, and whether two answers mean the same team. Pure."""

from __future__ import annotations

from msgspec import Struct

from bulk_sync.errors import WrongTeam


class Team(Struct, frozen=True):
    """A team as `GET /v1/users/me` names it; each part is None where the API leaves it out."""

    id: str | None = None
    name: str | None = None

    def __bool__(self) -> bool:
        """True if anything of the team is known."""
        return bool(self.id or self.name)

    def __str__(self) -> str:
        """Return `Example Realty (550e8400-...)`, or the part that is known."""
        if self.id and self.name:
            return f"{self.name} ({self.id})"
        return self.name or self.id or "an unnamed team"

    def is_meant_by(self, text: str) -> bool:
        """Return whether a user's text is this team's id or name; letter case doesn't matter."""
        wanted = _plain(text)
        return wanted in {_plain(part) for part in (self.id, self.name) if part}


def same_team(one: Team | None, other: Team | None) -> bool | None:
    """Return whether both are one team; None if that is unknown.

    Ids decide. Without them different names are different teams, but equal names prove nothing,
    because two teams may share one.
    """
    if not one or not other:
        return None
    if one.id and other.id:
        return _plain(one.id) == _plain(other.id)
    if one.name and other.name and _plain(one.name) != _plain(other.name):
        return False
    return None


def wrong_team(of_job: Team, of_key: Team) -> WrongTeam:
    """Return the refusal of a key whose team is not the job's."""
    return WrongTeam(
        f"This job belongs to the team {of_job}, and the key acts for the team {of_key}. "
        f"Nothing was sent. Use a key of {of_job.name or of_job.id}; to send the sheet to "
        f"{of_key.name or of_key.id}, name another checkpoint with --checkpoint or --out"
    )


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
