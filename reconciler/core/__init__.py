"""The pure core: it decides, and touches nothing.

Law of the package: no I/O, no clock, no randomness, no logging. Time and entropy are arguments, effects are values. What
the world did comes in as an `Input`, what should be done goes out as an `Effect` (`messages`).
"""
