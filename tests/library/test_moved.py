"""An import of a module's old path fails with an error that names the new one."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

from askonce.library.moved import new_name, read_moves


def test_every_old_path_fails_and_names_one_that_exists() -> None:
    wrong = []
    for old, new in read_moves().items():
        package, _, name = f"askonce.{old}".rpartition(".")
        try:
            pkgutil.resolve_name(f"askonce.{new}")
        except (ImportError, AttributeError):
            wrong.append(f"{old}: there is no askonce.{new}")
        for statement in (f"import {package}.{name}", f"from {package} import {name}"):
            try:
                exec(statement, {})
            except ImportError as error:
                if str(error) != f"{package}.{name} has moved; import askonce.{new} instead":
                    wrong.append(f"{statement}: {error}")
            else:
                # An import finds a folder too: `git clean -fdX src` removes what git left behind.
                wrong.append(f"{statement} works; is an old folder left in src/askonce?")

    assert wrong == []


@pytest.mark.parametrize(
    ("statement", "new"),
    [
        ("from askonce.settings import load", "askonce.config.load"),
        ("from askonce.practice.provider import PracticeProvider", "askonce.cli.demo.provider"),
        ("from askonce.prompt_rules import load_rules", "askonce.prompts.provider.rule_files"),
        (
            "from askonce.prompts.planning import plan",
            "askonce.prompts.optimizer.breakpoint_plan",
        ),
        ("from askonce.gateway import build", "askonce.gateway.server.build"),
        ("import askonce.records as records", "askonce.core.models"),
    ],
)
def test_what_the_docs_once_showed_names_its_new_place(statement: str, new: str) -> None:
    with pytest.raises(ImportError, match=rf"has moved; import {new} instead$"):
        exec(statement, {})


def test_a_module_that_never_existed_is_missing_as_ever() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"'askonce\.unheard_of'"):
        importlib.import_module("askonce.unheard_of")
    assert new_name("askonce.unheard_of") is None


def test_the_table_is_read_only_when_an_import_fails() -> None:
    code = "import sys, askonce; askonce.Cache; print('askonce.library.moved' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
