"""The optimizer: it prepares a request on its way to the provider for the provider's own cache.

`optimizer` plans one request; `reuse_stats` and `continuation_stats` learn how often prefixes are
sent again, `breakpoint_plan` computes where markers pay, `breakpoints` applies that to a request,
and `markers` writes them. `stable_tools` and `volatile_tail` (with `volatile_spans`) change the
request's bytes at the levels that allow it. Only `prompts/assembly` and `prompts/upstream` import
from here; this package imports `core`, `prompts/provider`, `prompts/requests` and
`prompts/simulator`. Start reading at `optimizer`.
"""
