"""Read gathered resources into core records."""
