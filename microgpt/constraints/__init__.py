"""Constraints: text that must match a regex, a JSON schema or an EBNF grammar, as masks over the vocabulary.

`constraint` is the value that a request carries, `compiler` turns it into a grammar, `matcher` follows one sequence.
Empty, so that carrying a constraint costs no import of what compiles it.
"""
