"""The durable queue: jobs, the database that keeps them, and the work that they stand for."""
