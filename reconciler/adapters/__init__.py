"""All input and output: one module or folder for each part of the outside world.

Law of the package: an adapter performs one request and hands over its answer. It tries nothing twice, follows nothing, decides
nothing: whether to ask again, when, and what it means is the engine's. What goes wrong outside comes back as a value, in words for
people and without credentials; only what the operator must mend before the start is raised (`ConfigError`). Everything that the
outside can make large is bounded by a named limit. Adapters know nothing of each other, of the kinds, or of the engine's state:
they share only the vocabulary of `core.identity`, `core.messages` and, for Git, the parser.

Time is read in `clock` alone.
"""
