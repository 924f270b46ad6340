"""The verbs of `askonce prompts`: `analyze` a log of requests, `check` snapshots of prompts.

`analyze` reads the log (`log_files`), has `askonce.prompts.analyzer` analyze it, and shows the
report as a table (`tables`), a page (`page`) or SARIF (`sarif`). Only
`cli/commands/prompts` imports from here; everything below `cli` may be imported. Start reading at
`analyze`.
"""
