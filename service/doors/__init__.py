"""The doors of the service: one file a door, and what the doors share."""
