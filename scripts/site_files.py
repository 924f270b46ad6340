"""A hook of MkDocs: files of the repository that a page links to become pages of the site.

A page of docs/ links to `../../examples/transport.py` and the like, which works in a clone and on
a code host. The site has no such file, and must work without a network. So the hook adds a page
for each of these files below `repository/`, and points the links there. A link to a folder keeps
its text only. `scripts/docs.py` checks that the files exist.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PLACE = "repository"
LINK = re.compile(r"\[([^\]]*)\]\(<?([^)\s>#]+)(#[^)\s>]*)?>?\)")
FENCE = re.compile(r"^(```.*?^```$)", re.DOTALL | re.MULTILINE)
LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}


def on_files(files: Any, *, config: Any) -> Any:
    """Add a page for each file outside docs/ that a page links to, directly or not."""
    waiting = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    added: set[str] = set()
    while waiting:
        source = waiting.pop()
        if not source.endswith(".md"):
            continue
        for _, target, _ in LINK.findall(_prose((ROOT / source).read_text(encoding="utf-8"))):
            path = _resolve(source, target)
            if _is_outside(path) and path not in added and (ROOT / path).is_file():
                added.add(path)
                waiting.append(path)
                files.append(File.generated(config, _page_of(path), content=_content(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Return the page's text with its links to files outside docs/ led to their pages."""
    uri = page.file.src_uri
    if uri.startswith(f"{PLACE}/"):
        return markdown  # its links were rewritten when it was made
    return _rewritten(markdown, f"docs/{uri}", uri)


def _content(path: str) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return _rewritten(text, path, _page_of(path))
    language = LANGUAGES.get(posixpath.splitext(path)[1], "text")
    return f"# {path}\n\n```{language}\n{text.rstrip()}\n```\n"


def _rewritten(markdown: str, source: str, page: str) -> str:
    """Return the text of `source`, a path in the repository, with links that fit `page`."""

    def lead(link: re.Match[str]) -> str:
        text, target, anchor = link.groups(default="")
        path = _resolve(source, target)
        if ":" in target or not (_is_outside(path) or _is_outside(source)):
            return link[0]
        if not (ROOT / path).is_file():
            return text
        there = _page_of(path) if _is_outside(path) else path.removeprefix("docs/")
        return f"[{text}]({posixpath.relpath(there, posixpath.dirname(page))}{anchor})"

    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(lead, part) for part in parts[::2]]
    return "".join(parts)


def _prose(markdown: str) -> str:
    return FENCE.sub("", markdown)


def _resolve(source: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))


def _is_outside(path: str) -> bool:
    return not path.startswith("docs/")


def _page_of(path: str) -> str:
    return f"{PLACE}/{path}" if path.endswith(".md") else f"{PLACE}/{path}.md"
