"""The evaluation of semantic matching on labeled questions: shares with intervals, no single score.

`measurement` measures one set: `pair_reports` judges pairs, `stream_reports` replays a stream
against one of `policies`, and `json_reports` turns both into JSON. Sets come from `question_files`
or `shipped_sets`; `text_vectors` embeds each text once. Pure arithmetic lies in `intervals`,
`draws`, `logistic` and `guard_effects`. Only `cli` and the benchmarks import this package. Start in
`measurement`.
"""
