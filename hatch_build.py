"""Complete the metadata of both packages where a build knows the repository's public address.

`make dist` passes the address in the environment variable ASKONCE_REPOSITORY, for example
`https://git.example/team/askonce`. The metadata then has project URLs, and every link of the README
is absolute and leads to the tag of this version. Without an address the metadata has no URLs, and
links to files become plain text that names the file, because a relative link leads nowhere outside
the repository. A build from a source archive keeps the metadata of the archive.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

VARIABLE = "ASKONCE_REPOSITORY"

_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


class RepositoryMetadataHook(MetadataHookInterface):
    """Fill in `urls` and `readme` where the project declares them as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        address = os.environ.get(VARIABLE, "").rstrip("/")
        tag = f"v{metadata['version']}"
        if "urls" in metadata["dynamic"]:
            metadata["urls"] = project_urls(address, tag)
        if "readme" in metadata["dynamic"]:
            text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
            metadata["readme"] = {
                "content-type": "text/markdown",
                "text": standalone(text, address, tag),
            }


def project_urls(address: str, tag: str) -> dict[str, str]:
    """Return the project URLs by label; none without an address."""
    if not address:
        return {}
    return {
        "Repository": address,
        "Documentation": f"{address}/tree/{tag}/docs",
        "Changelog": f"{address}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }


def standalone(text: str, address: str, tag: str) -> str:
    """Return a README of the repository's root without relative links."""

    def replace(found: re.Match[str]) -> str:
        words, target = found["text"], found["target"]
        if _SCHEME.match(target):
            return found[0]
        if address:
            kind = "raw" if found["image"] else "blob"
            page = f"README.md{target}" if target.startswith("#") else target
            return f"{found['image']}[{words}]({address}/{kind}/{tag}/{page})"
        if found["image"] or target.startswith("#") or target == words:
            return words
        return f"{words} (`{target}`)"

    parts = _FENCE.split(text)
    return "".join(part if part.startswith("```") else _LINK.sub(replace, part) for part in parts)
