"""What training algorithms share: the run, its loop, data, losses, returns, metrics."""
