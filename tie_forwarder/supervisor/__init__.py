"""The main process: it composes the parts, watches them by their progress, and replaces or ends what stands still."""
