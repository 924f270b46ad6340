"""Rewrites the settings in the configuration page and in askonce.toml.example from the structs.

python scripts/settings.py             write
python scripts/settings.py --check     only check
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from askonce.config.settings import NAMED, TABLES, Settings
from askonce.config.show import masked
from askonce.core.settings_table import settings_of

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "askonce.toml.example"
KEYS = "| key | default | is |\n|---|---|---|\n"
OPTIONAL_KEYS = "| optional key | is |\n|---|---|\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args(arguments).check
    faults = 0
    (page,) = (ROOT / "docs").rglob("configuration.md")
    for path, rewritten in ((page, with_tables), (EXAMPLE, with_defaults)):
        before = path.read_text(encoding="utf-8")
        after = rewritten(before)
        if check and after != before:
            print(f"{path.name} differs from the settings; run scripts/settings.py")
            faults = 1
        elif not check:
            path.write_text(after, encoding="utf-8")
    return faults


def with_tables(page: str) -> str:
    """Return the configuration page with the tables of all keys as the structs have them."""
    for head, rows in ((KEYS, key_rows()), (OPTIONAL_KEYS, optional_rows())):
        before, _, after = re.split(rf"({re.escape(head)}(?:\|.*\n)*)", page)
        page = f"{before}{head}{''.join(rows)}{after}"
    return page


def key_rows() -> Iterator[str]:
    """One Markdown row for each key with a default."""
    for section, shown in masked(Settings()).items():
        settings = settings_of(TABLES[section])
        tables = shown if section in NAMED else {"": shown}
        for name, table in tables.items():
            place = f"{section}.{name}" if name else section
            for key, default in table.items():
                meaning = in_backticks(settings[key].doc)
                yield f"| `{place}.{key}` | `{json.dumps(default)}` | {meaning} |\n"


def optional_rows() -> Iterator[str]:
    """One Markdown row for each key that has no default, or that a user's own table has."""
    for section, table in TABLES.items():
        place = f"{section}.NAME" if section in NAMED else section
        for key, setting in settings_of(table).items():
            if section in NAMED or setting.default is None:
                default = isinstance(setting.default, str) and f'; default "{setting.default}"'
                yield f"| `{place}.{key}` | {in_backticks(setting.doc + (default or ''))} |\n"


def in_backticks(doc: str) -> str:
    """Return the documentation of a setting with its quoted values as Markdown code."""
    return re.sub(r'\[+".*?"\]+|"[^"]*"', r"`\g<0>`", doc)


def with_defaults(example: str) -> str:
    """Return the example file with each section's defaults and documentation from the structs."""
    for section, shown in masked(Settings()).items():
        if section in NAMED:
            continue
        docs = settings_of(TABLES[section])
        lines = [
            f"{f'{key} = {json.dumps(default)}':<30} # {docs[key].doc}\n"
            for key, default in shown.items()
        ]
        head, _, rest = re.split(rf"(?<=\n)(\[{section}\]\n(?:\w+ = .*\n)+)", example)
        example = f"{head}[{section}]\n{''.join(lines)}{rest}"
    return example


if __name__ == "__main__":
    sys.exit(main())
