"""The demo: a demo provider, customers' questions as traffic, and the report. `commands/demo.py`,
tests and examples import it. Start with `run.py`.
"""
