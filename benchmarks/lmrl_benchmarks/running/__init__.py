"""Running a suite: what is run, cells, jobs, records, verification."""
