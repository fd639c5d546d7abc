"""What machines are told: logs, metrics and traces."""
