"""Results for readers: report, pages, submissions."""
