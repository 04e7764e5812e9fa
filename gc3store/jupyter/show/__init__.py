"""What is shown of stored objects: lists, details, facts of jobs, differences."""
