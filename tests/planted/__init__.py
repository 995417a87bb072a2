"""Planted bugs: does a test fail where the program is wrong?

Law of the package: each bug is one that a good developer could write and a user would suffer from; a list of them says what is
changed, in words what goes wrong, and which invariant breaks. They are planted one by one into a copy of the tree, and the suites
must notice at least `SHARE_WANTED` of them.

    bugs/*.yaml   the bugs, by the part of the program that they are in
    bugs.py       reads and checks them
    suites.py     what is run, in order of cost
    runner.py     plants one, runs, takes it out
    __main__.py   python -m tests.planted [NAME…] [--suite NAME] [--jobs N] [--json]
"""
