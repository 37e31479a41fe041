"""Position against velocity control."""
