"""What the daemon shows of itself over HTTP: status page, health, readiness and metrics.

It reads and never changes anything. Nothing here is imported unless the daemon listens.
"""
