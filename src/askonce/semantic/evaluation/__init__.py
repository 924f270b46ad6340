"""How well a matcher tells the same question from another one: shares with intervals, no I/O.

`pair_reports` and `stream_reports` measure what serves, beside what it is compared with, and
`plain` tells it as JSON does. `pairs` judges pairs of questions, `streams` replays questions in the
order they came against one of `policies`, `effects` tells what each guard does. They read JSON
lines by `reading`, say shares by `intervals`, and draw by `draws`.
"""
