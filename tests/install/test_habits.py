"""The files of a public repository agree with the project: CI, hooks, templates, release notes."""

import re
import tomllib
from typing import Any

import pytest
from scripts.pin import PYTHONS

import askonce
from tests.deploy.plain_yaml import documents
from tests.install.conftest import ROOT

CI = ROOT / ".github" / "workflows" / "ci.yml"
HOOKS = ROOT / ".pre-commit-config.yaml"
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def yaml(path: Any) -> Any:
    (document,) = documents(path.read_text(encoding="utf-8"))
    return document


def supported() -> list[str]:
    """The Python versions that the classifiers name."""
    named = [
        found[1] for text in PROJECT["classifiers"] if (found := re.search(r"(3\.\d+)$", text))
    ]
    return sorted(named, key=lambda version: int(version.partition(".")[2]))


def test_ci_runs_every_supported_python_on_linux_and_macos() -> None:
    jobs = yaml(CI)["jobs"]

    assert supported()[0] == PROJECT["requires-python"].removeprefix(">=")
    for system in ("linux", "macos"):
        assert jobs[system]["strategy"]["matrix"]["python"] == supported()
    assert {PYTHONS[0], PYTHONS[-1]} == {supported()[0], supported()[-1]}


def test_ci_calls_the_make_targets_that_a_developer_types() -> None:
    jobs = yaml(CI)["jobs"].values()
    lines = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    targets = {line.split()[-1] for line in lines if line.startswith("make ")}

    assert targets == {"check", "test", "coverage", "dist", "docs"}
    assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in targets)


def test_hooks_call_tools_of_the_virtual_environment() -> None:
    (repository,) = yaml(HOOKS)["repos"]
    programs = {hook["entry"].split()[0] for hook in repository["hooks"]}

    assert repository["repo"] == "local"
    assert programs == {".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/python"}


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.name)
def test_templates_of_issues_are_forms(form: Any) -> None:
    fields = yaml(form)

    if form.name == "config.yml":
        assert fields == {"blank_issues_enabled": "true"}
    else:
        assert {"name", "description", "labels", "body"} == fields.keys()
        assert all(part["attributes"] for part in fields["body"])


def test_the_release_notes_begin_with_the_present_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)

    assert sections[0] == ("Unreleased", "")
    assert sections[1][0] == askonce.__version__
    assert all(date for _, date in sections[1:])
