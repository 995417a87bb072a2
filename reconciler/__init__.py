"""A GitOps reconciler in one process.

The architecture on one page. Imports go one way, and tests enforce it:

    cli  >  sim  >  shell  >  (adapters | kinds)  >  core  >  lib

A kind never does anything, it says what should be. `Engine.step(inputs, now) -> effects` (core/engine.py) is synchronous and pure: it
folds what Git and the clusters said, asks each unit that may be affected for its plan, and turns the difference between plan and world
into effects. The shell (shell.py) performs effects through adapters, one request each, and brings the answers back as inputs. So
everything that decides (polling, back-off, order, limits, list-and-watch, the Lease) is tested without waiting.

    lib/        pure, knows nothing of us: durations, quantities, plain text
    core/       pure: manifests with positions, desired and observed state, health, comparison, order, pruning, records, reports
    kinds/      pure: one folder an API family, each one function from a specification and a view to a plan
    adapters/   all I/O: Git, Kubernetes, helm, the clock; no decision, no retry
    shell.py    the only `while True`
    sim/        a world in one process: embedded clusters, a Git server, faults
    cli/        commands; every one that answers a question runs the same engine, read-only
    config.py   the operator's file, parsed once; schemas.py: our schemas, shipped as data
    log.py      one JSON object a line; errors.py: who must act on what is raised

A commit flows: poll sees a tip → fetch, walk the two trees where ids differ, read changed blobs → manifests, or problems with line and
column → units whose answers changed are planned → records that change are stored first → wanted against live → server-side apply, in
order, within limits → watches bring what happens next → what changed goes to the status branch. A folder is a unit: nothing of it is
applied unless all of it was read. What is ours and wanted by nobody is pruned, within a budget; past it, a person approves by merging.
"""

__version__ = "0.1.0"
