"""How the files of packages/askonce-models are made from public weights."""
