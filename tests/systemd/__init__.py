"""The service as an administrator installs it: its unit file, and what runs under what that file says."""
