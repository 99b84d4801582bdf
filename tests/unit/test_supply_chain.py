"""What the gate and the image install is named by version and hash, and by no address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def locked() -> dict[str, list[Requirement]]:
    """The locked requirements by name; one may have several versions, for other platforms."""
    found: dict[str, list[Requirement]] = {}
    for line in LOCK.replace("\\\n", " ").splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", line)
        parsed = Requirement(requirement)
        assert re.fullmatch(r"==[^*,]+", str(parsed.specifier)), line
        assert hashes, line
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", one) for one in hashes), line
        found.setdefault(canonicalize_name(parsed.name), []).append(parsed)
    return found


def test_the_lock_names_no_address() -> None:
    assert "://" not in LOCK
    assert "index" not in re.sub(r"(?m)^[\w.-]+==.*", "", LOCK)


def test_all_that_is_declared_is_locked_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    declared = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(one for extra in extras.values() for one in extra),
    ]
    versions = locked()
    for text in declared:
        wanted = Requirement(text)
        if wanted.name == "bulk-sync":
            continue
        for one in versions[canonicalize_name(wanted.name)]:
            assert wanted.specifier.contains(str(one.specifier)[2:]), text


def test_the_image_is_built_from_one_base_that_is_named_by_its_digest() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:[\w.-]+@sha256:[0-9a-f]{64}", bases[0])


def test_the_image_runs_as_a_user_without_rights() -> None:
    (user,) = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert 'ENTRYPOINT ["tini", "--", "bulk-sync"]' in DOCKERFILE
    assert "--without-pip" in DOCKERFILE
