"""Kubernetes: one client for each cluster's API server, and the logging in.

It stands on `kubernetes.aio`: configuration of clusters and pods, static credentials, trust, names and proxies of connections,
the aiohttp session, the hook that refreshes a token. No typed models: raw JSON in and out, on that session.

Ours, because the package cannot do it or not safely (each module says why): judging what a kubeconfig may ask for (auth), plug-ins
with limits and errors and token files that change (credentials), client certificates that leave no key on disk and are renewed
(tls), and the sending itself with its limits (client).
"""
