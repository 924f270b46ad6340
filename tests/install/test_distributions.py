"""Wheels and source archives: their files, their licences, and the metadata of a package page."""

import re

import pytest
from hatch_build import project_urls, standalone
from scripts.dist import public_address
from scripts.docs import LINK

from tests.install.conftest import REPOSITORY, ROOT, Distributions

pytestmark = pytest.mark.slow


def test_the_wheel_has_every_file_of_the_package(distributions: Distributions) -> None:
    source = ROOT / "src"
    files = [path for path in source.rglob("*") if path.is_file()]
    expected = {
        path.relative_to(source).as_posix() for path in files if "__pycache__" not in path.parts
    }

    packed = {name for name in distributions.wheel("askonce") if ".dist-info/" not in name}

    assert packed == expected
    assert {"askonce/py.typed", "askonce/__init__.py"} <= packed


def test_the_source_archive_is_complete_without_the_model(distributions: Distributions) -> None:
    files = distributions.archive("askonce")

    assert [name for name in files if name.endswith((".onnx", "tokenizer.json"))] == []
    assert sum(files.values()) < 8e6
    assert max(files.values()) < 5e5
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = {target.partition("#")[0] for target in LINK.findall(readme) if ":" not in target}
    linked = {target.rstrip("/") for target in targets if target}
    folders = {name[:at] for name in files for at, letter in enumerate(name) if letter == "/"}
    assert linked - files.keys() - folders == set()
    assert {"pyproject.toml", "hatch_build.py", "PKG-INFO"} <= files.keys()


def test_the_model_is_in_its_own_distribution_once(distributions: Distributions) -> None:
    model = ROOT / "packages" / "askonce-models" / "src" / "askonce_models"
    weights = (model / "embedder.onnx").stat().st_size

    assert distributions.wheel("askonce_models")["askonce_models/embedder.onnx"] == weights
    archive = distributions.archive("askonce_models")
    assert archive["src/askonce_models/embedder.onnx"] == weights
    assert sum(archive.values()) < weights + 1e6


@pytest.mark.parametrize(("name", "expression", "texts"), [
    ("askonce", "Apache-2.0 AND CC-BY-4.0 AND CC-BY-3.0",
     {"LICENSE", "LICENSES/CC-BY-3.0.txt", "LICENSES/CC-BY-4.0.txt"}),
    ("askonce_models", "Apache-2.0 AND MIT", {"LICENSE", "LICENSES/MIT.txt", "NOTICE"}),
])  # fmt: skip
def test_the_licences_of_code_data_and_model_are_inside(
    distributions: Distributions, name: str, expression: str, texts: set[str]
) -> None:
    metadata = distributions.metadata(name)
    declared = metadata.get_all("License-File", [])

    assert metadata["License-Expression"] == expression
    assert texts <= set(declared)
    wheel = distributions.wheel(name)
    inside = {file.partition("/licenses/")[2] for file in wheel if "/licenses/" in file}
    assert inside == set(declared)
    assert set(declared) <= distributions.archive(name).keys()


def test_every_data_set_has_its_notice_among_the_licences(distributions: Distributions) -> None:
    declared = distributions.metadata("askonce").get_all("License-File", [])
    texts = "".join((ROOT / file).read_text(encoding="utf-8") for file in declared)

    for packed in (name for name in distributions.wheel("askonce") if name.endswith(".gz")):
        assert f"{packed.rpartition('/')[2]}" in texts, packed


@pytest.mark.parametrize("name", ["askonce", "askonce_models"])
def test_the_metadata_leads_to_the_repository_and_nowhere_else(
    distributions: Distributions, name: str
) -> None:
    metadata = distributions.metadata(name)
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))

    assert urls["Repository"] == REPOSITORY
    assert urls["Issues"] == f"{REPOSITORY}/issues"
    description = re.sub(r"```.*?```", "", str(metadata.get_payload()), flags=re.DOTALL)
    assert [target for target in LINK.findall(description) if ":" not in target] == []
    assert re.findall(r"(?:src|href|srcset)=\"(?!https?:)[^\"]*", description) == []


README = """\
See [the guide](docs/library.md#keys), [docs/keys.md](docs/keys.md), [limits](#limits) and
[RFC 9211](https://www.rfc-editor.org/rfc/rfc9211). ![Two
lines](docs/demo.png)

```text
[not a link](of/this/page)
```
"""


def test_links_of_a_readme_become_absolute() -> None:
    page = standalone(README, REPOSITORY, "v1.2.3")

    assert LINK.findall(page) == [
        f"{REPOSITORY}/blob/v1.2.3/docs/library.md#keys",
        f"{REPOSITORY}/blob/v1.2.3/docs/keys.md",
        f"{REPOSITORY}/blob/v1.2.3/README.md#limits",
        "https://www.rfc-editor.org/rfc/rfc9211",
        f"{REPOSITORY}/raw/v1.2.3/docs/demo.png",
        "of/this/page",
    ]


def test_without_an_address_links_become_text() -> None:
    page = standalone(README, "", "v1.2.3")

    assert page.startswith(
        "See the guide (`docs/library.md#keys`), docs/keys.md, limits and\n"
        "[RFC 9211](https://www.rfc-editor.org/rfc/rfc9211). Two\nlines\n"
    )
    assert "[not a link](of/this/page)" in page
    assert project_urls("", "v1.2.3") == {}


@pytest.mark.parametrize(("remote", "address"), [
    ("https://git.example/team/askonce.git", REPOSITORY),
    ("https://user:secret@git.example/team/askonce", REPOSITORY),
    ("git@git.example:team/askonce.git", REPOSITORY),
    ("ssh://git@git.example:2222/team/askonce/", REPOSITORY),
    ("/home/me/git.example/askonce", ""),
    ("../git.example/askonce", ""),
    ("file:///home/git.example/askonce", ""),
    ("https://localhost/askonce", ""),
    ("", ""),
])  # fmt: skip
def test_the_address_of_a_remote_is_public_and_has_no_credentials(
    remote: str, address: str
) -> None:
    assert public_address(remote) == address
