"""The mutator of `tests.tools.mutants`: which faults it plants, and where."""

from __future__ import annotations

import ast

import pytest

from tests.tools.mutants import MODULES, equivalents, files_of, path_of
from tests.tools.mutating import mutants

SOURCE = '''"""A module."""
from os import path
LIMIT = 10
KINDS = Literal["a", "b"]

class Thing(Base, frozen=True):
    """A class."""
    size: int = 3
    """An attribute."""

    def fits(self, number: "int", most: int = 5) -> bool:
        """A method."""
        if number < LIMIT and not self.open:
            return True
        self.seen += 1
        return number + 1 in self.rows[1:]

def text(one):
    for each in one:
        if each is None:
            continue
        log(f"{each + 1} of {min(one)}")
    match one:
        case "x" if one:
            raise ValueError
    return None
'''


def changes(source: str) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for mutant in mutants(source):
        found.setdefault(mutant.kind, set()).add(mutant.changed(source))
    return found


def test_each_kind_of_fault_is_planted() -> None:
    found = changes(SOURCE)
    condition = "if number < LIMIT and not self.open:"
    assert found["comparison"] >= {
        (condition, "if (number <= LIMIT) and not self.open:"),
        (condition, "if (number >= LIMIT) and not self.open:"),
        ("if each is None:", "if (each is not None):"),
        ("return number + 1 in self.rows[1:]", "return (number + 1 not in self.rows[1:])"),
    }
    assert found["and and or"] == {(condition, "if (number < LIMIT or not self.open):")}
    assert (condition, "if number < LIMIT and self.open:") in found["deleted operator"]
    assert (condition, "if True:") in found["removed branch"]
    assert (condition, "if False:") in found["removed branch"]
    assert len(found["negated condition"]) == 3
    assert found["arithmetic"] >= {
        ("self.seen += 1", "self.seen -= 1"),
        ("return number + 1 in self.rows[1:]", "return (number - 1) in self.rows[1:]"),
        ('log(f"{each + 1} of {min(one)}")', "log(f'{each - 1} of {min(one)}')"),
    }
    assert found["constant"] >= {
        ("LIMIT = 10", "LIMIT = 11"),
        ("LIMIT = 10", "LIMIT = 9"),
        ("size: int = 3", "size: int = 4"),
        ("return True", "return False"),
        ('case "x" if one:', "case 'XXxXX' if one:"),
        ('log(f"{each + 1} of {min(one)}")', "log(f'{each + 1}XX of XX{min(one)}')"),
    }
    assert any("most: int = 6" in becomes for _, becomes in found["constant"])
    assert found["return None"] >= {("return True", "return None")}
    assert found["deleted statement"] >= {
        ("self.seen += 1", "pass"),
        ("raise ValueError", "pass"),
        ('log(f"{each + 1} of {min(one)}")', "pass"),
    }
    assert found["break for continue"] == {("continue", "break")}
    assert ("return number + 1 in self.rows[1:]", "return number + 1 in self.rows[:]") in found[
        "slice"
    ]
    assert any("max(one)" in becomes for _, becomes in found["other function"])


def test_every_mutant_is_another_program_that_compiles() -> None:
    planted = mutants(SOURCE)
    assert len({one.source for one in planted}) == len(planted) > 40
    original = ast.dump(ast.parse(SOURCE))
    assert all(ast.dump(ast.parse(one.source)) != original for one in planted)


def test_docstrings_annotations_types_imports_and_options_of_classes_are_left_alone() -> None:
    lines = {was for one in mutants(SOURCE) for was in [one.changed(SOURCE)[0]]}
    assert not any('"""' in was or "import" in was or was.startswith("KINDS") for was in lines)
    assert not any("frozen" in was for was in lines)
    signature = 'def fits(self, number: "int", most: int = 5) -> bool:'
    of_signature = [one for one in mutants(SOURCE) if one.changed(SOURCE)[0] == signature]
    assert [one.changed(SOURCE)[1].count("most: int = 5") for one in of_signature] == [0, 0]


def test_a_mutant_knows_its_lines_its_function_and_whether_it_runs_at_import() -> None:
    found = {one.changed(SOURCE): one for one in mutants(SOURCE)}
    limit = found["LIMIT = 10", "LIMIT = 11"]
    assert (limit.first_line, limit.within, limit.at_import) == (3, "", True)
    size = found["size: int = 3", "size: int = 4"]
    assert (size.within, size.at_import) == ("Thing", True)
    seen = found["self.seen += 1", "pass"]
    assert (seen.first_line, seen.last_line) == (15, 15)
    assert (seen.within, seen.at_import) == ("Thing.fits", False)
    assert seen.diff(SOURCE, "x.py").splitlines()[1:4] == [
        "             return True",
        "-        self.seen += 1",
        "+        pass",
    ]


def test_the_place_of_a_fault_is_found_behind_letters_of_several_bytes() -> None:
    source = 'def f():\n    return "★★", 1 + 2\n'
    assert ('return "★★", 1 + 2', 'return "★★", (1 - 2)') in changes(source)["arithmetic"]


@pytest.mark.parametrize("module", MODULES)
def test_the_modules_that_are_tried_have_tests_of_their_own(module: str) -> None:
    assert path_of(module).is_file()
    assert any(name.endswith(f"_{module.rpartition('.')[2]}.py") for name in files_of(module))


def test_mutants_that_are_named_as_equivalent_are_of_lines_that_are_there_and_have_reasons() -> (
    None
):
    """A line that was changed since has to be judged again."""
    for one in equivalents():
        source = " ".join(path_of(one.module).read_text(encoding="utf-8").split())
        assert one.was in source, one
        assert one.becomes not in source, one
        assert len(one.reason) > 10, one
