"""The daemon: rotates due accounts, checks for drift, and reports its state to systemd."""
