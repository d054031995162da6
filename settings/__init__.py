"""A job's YAML file as validated, immutable values. Its face is `config.py`.

Begin with `keys`: it has every key with its type, its default and its meaning.
"""
