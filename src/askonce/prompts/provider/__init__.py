"""How the providers cache prompts, and how their tokens are estimated.

`rules` holds the rules of all providers, `rule_files` loads the TOML files that ship in
`prompts/rules` and the user's own, `tokens` estimates tokens from bytes. The rest of
`askonce.prompts`, the CLI and the documentation's tests import from here; this package imports only
`core`. Start reading at `rules`.
"""
