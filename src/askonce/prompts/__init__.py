"""Providers' own prompt caches: their rules, what a request looks like to them, what they charge.

`provider_rules` says how each provider caches, `rendering` shows a request as the provider reads
it, `usage` what an answer reported, `simulating` what the rules make of a sequence of requests and
`planning` where markers pay. Everything here decides; nothing reads a file or a clock.
"""
