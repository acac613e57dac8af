"""What assessing a patient costs, as a ratio to the least that the same task can cost."""
