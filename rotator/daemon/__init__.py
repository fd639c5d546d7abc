"""The daemon: rotates what is due, looks for drift, and tells systemd how it is."""
