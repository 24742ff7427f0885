"""The `recalib` command."""
