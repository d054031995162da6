"""`deploy/kubernetes` on a real API server."""
