"""The daemon's HTTP server: status page, health, readiness and metrics.

It only reads. Nothing here is imported unless the daemon listens.
"""
