"""How the sets of questions that ship with `askonce eval` are made from public ones."""
