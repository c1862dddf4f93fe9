"""Reading datasets: columns, shards, statistics, the `Dataset`."""
