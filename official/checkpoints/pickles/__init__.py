"""Reads pickles without running them: a pickle machine of our own over inert values.

Python's unpickler imports what a file names and calls it. This one imports and calls nothing: a
name becomes a `Global`, a call on the list of `policy` is *interpreted* (a tensor becomes a
`LazyArray`), an instance of a listed library's class becomes a `Record` of its attributes, and any
other use of a name is refused.
"""
