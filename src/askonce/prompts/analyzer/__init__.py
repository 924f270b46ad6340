"""The analyzer: it explains what a log of requests loses at the providers' prompt caches.

`analyzer` goes through a log (`log_lines`, in the order of `reorder_buffer`) once. It reduces each
request to a fingerprint (`fingerprints`), finds the earlier one to compare it with (`predecessors`,
`trie`, `families`) and names the cause of each loss: a difference (`divergence`, with
`request_changes`, `text_changes` and `text_diff`) or the provider's rules (`rule_causes`).
`log_routes`, `findings` and `offline_optimum` add up; `report` presents; `snapshots` serves
`askonce prompts check`. Only the CLI imports from here; this package imports `core`, `formats`,
`prompts/provider`, `prompts/requests` and `prompts/simulator`. Start reading at `analyzer`.
"""
