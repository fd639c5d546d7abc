"""Telemetry for machines: logs, metrics and traces."""
