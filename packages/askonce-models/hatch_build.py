"""Add project URLs where a build knows the repository's public address; see AskOnce's own hook."""

import os
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class RepositoryMetadataHook(MetadataHookInterface):
    """Fill in `urls` from the environment variable ASKONCE_REPOSITORY."""

    def update(self, metadata: dict[str, Any]) -> None:
        if "urls" in metadata["dynamic"]:
            address = os.environ.get("ASKONCE_REPOSITORY", "").rstrip("/")
            pages = {"Repository": address, "Issues": f"{address}/issues"}
            metadata["urls"] = pages if address else {}
