"""What the service and its callers say to each other, and a client for Python."""
