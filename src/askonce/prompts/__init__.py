"""Prompts for the providers' own prompt caches: prepared on the way out, analyzed in logs.

`requests` reads a request as a provider does, `provider` holds the providers' rules, `simulator`
computes what those rules cache, `optimizer` prepares requests, `analyzer` explains logs. The
pipeline reaches all that through `upstream` (with `prefix_lock`), which `assembly` builds from the
`settings`; `layout` holds the public `PromptLayout`. `pipeline`, `config`, `library`, `gateway` and
`cli` may import this package; it imports only `core`, `formats` and `ledger`. Start reading at
`provider/rules`, then `optimizer/optimizer` or `analyzer/analyzer`.
"""
