"""Requests as a provider's prompt cache reads them, in four dialects.

`dialects` names the dialects. `render` reads a decoded request into comparable `segments`, with one
module a dialect (`chat`, `responses`, `messages`, `gemini`) and what they share in `reader`; the
log analyzer compares those. `request_parts` takes a request's bytes apart without decoding them
(`raw_json`), for the optimizer. `prompt_builder` writes requests, for `PromptLayout`.
Only `askonce.prompts` imports from here, and this package imports `core`, `formats` and
`prompts/provider/rules`. Start reading at `segments`.
"""
