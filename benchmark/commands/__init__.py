"""One file a command: what it runs, prints and writes."""
