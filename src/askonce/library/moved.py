"""Old and new paths of modules, for programs that import one under its old path.

The path of a module inside the package was never public, but the documentation showed some. A
program that still imports one gets an `ImportError` that names the new path. The table,
`moved.txt`, and its finder in `askonce/__init__.py` stay for one release, the first that has them.
"""

import pkgutil


def read_moves() -> dict[str, str]:
    """Read the table: the new path by the old one, both below `askonce`."""
    table = (pkgutil.get_data(__package__, "moved.txt") or b"").decode()
    return dict(line.split() for line in table.splitlines() if line[0] != "#")


def new_name(old: str) -> str | None:
    """Find the new full name of a module or of a name in one.

    Args:
        old: The full old name, such as `askonce.records`.

    Returns:
        The full new name, such as `askonce.core.models`; None for a name that never moved.
    """
    new = read_moves().get(old.removeprefix("askonce."))
    return None if new is None else f"askonce.{new}"
