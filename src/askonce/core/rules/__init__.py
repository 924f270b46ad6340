"""Rules: what patterns over questions say about an answer's lifetime, tags and storage.

`rules` holds the declarations of a user (`Rules`, `Rule`, `EventRule`), `ruleset` decides with
compiled ones (`Ruleset`), `packs` are the ready-made no-store patterns, `tag_templates` fills
`order:{id}`, `patterns` is the interface of a compiled pattern and `re2` the one implementation,
which is the only impure module. Every package may import it. Start with `rules`.
"""
