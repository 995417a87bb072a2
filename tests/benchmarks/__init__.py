"""What the daemon costs, beside what the same costs elsewhere: `python -m tests.benchmarks --help`.

Law of the package: the daemon is the real `reconciler run` in a process of its own, its API server a real one, its repository behind
HTTP. Requests are counted by the API server (its audit log, of the daemon's user alone), processor time by the kernel, polls by the Git
server; how often something was read, parsed or planned the daemon tells when it is asked. Times are those of this machine at this
moment, so each benchmark tells how busy it was, and measures a yardstick in the same run: ratios and counts hold anywhere.

    measure.py    figures with their spread, goals, the load, what a benchmark returns
    world.py      a repository, a control plane, a daemon between them
    audit.py      a control plane that writes down what the daemon asks
    process.py    the daemon's process, and looking into it
    yardsticks.py the same without us: bare patches, git, kubectl
    change.py, install.py, rest.py, heal.py, trees.py, targets.py   the benchmarks
"""
