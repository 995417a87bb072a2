"""Real Kubernetes servers for the tests: built once, started in seconds."""
