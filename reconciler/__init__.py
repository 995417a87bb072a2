"""A GitOps reconciler in one process."""
