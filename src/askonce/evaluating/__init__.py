"""How well a matcher tells the same question from another one: shares with intervals, no I/O.

`pairs` judges pairs of questions, `streams` replays questions in the order they came against one
of `policies`. Both read JSON lines by `reading`, say shares by `intervals`, and draw by `draws`.
"""
