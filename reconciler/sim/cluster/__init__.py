"""An embedded Kubernetes API server and the small controllers that make pods appear."""
