"""The reader of plain YAML reads what it should, and refuses what it might read wrongly."""

import pytest

from tests.deploy.plain_yaml import documents

TEXT = """\
# a comment
name: askonce        # another
command:
  - one two
  - "a: b"
rules:
  - alert: A
    expr: rate(x{y="z"}[5m]) > 1
  - alert: B
    labels:
      deep: {}
file: |
  [section]
  key = "value"
---
second: 1
"""


def test_it_reads_the_plain_part() -> None:
    assert documents(TEXT) == [
        {
            "name": "askonce",
            "command": ["one two", "a: b"],
            "rules": [
                {"alert": "A", "expr": 'rate(x{y="z"}[5m]) > 1'},
                {"alert": "B", "labels": {"deep": {}}},
            ],
            "file": '[section]\nkey = "value"\n',
        },
        {"second": "1"},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2",
        "a: {b: 1}",
        "a: [1, 2]",
        "a: &anchor 1",
        "a: b: c",
        "a: 'single'",
        "a: >\n  folded",
        "a:\n  b: 1\n c: 2",
        "a:\n- 1\nb",
        "just text",
        "a:",
    ],
)
def test_it_refuses_what_is_not_plain(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        documents(text)
