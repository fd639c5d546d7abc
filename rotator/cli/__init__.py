"""The command line: one file for each command or group of commands, and the code they share."""
