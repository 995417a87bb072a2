"""A whole world in one process: embedded clusters, fake Git, a virtual clock."""
