"""What this machine does, beside its peers."""
